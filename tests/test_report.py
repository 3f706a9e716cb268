"""The report: of every kind of run, with hostile texts, and in a real browser where there is one."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reported
from ase import Atoms
from browser import CHROMIUM, Browser
from matplotlib.image import imread
from test_pathway_files import DOUBTS, doubtful, pathway, with_a_pass_beside
from test_quantum import hydrogen_like

from mapmpi.path.diffusion import Diffusion
from mapmpi.pneb.diffusion import write_diffusion
from mapmpi.report import curves, kinetics, network, saddle
from mapmpi.report.answer import answer
from mapmpi.report.energymap import read_map
from mapmpi.report.film import film, near_the_way
from mapmpi.report.gather import gather
from mapmpi.report.run import main
from mapmpi.report.saddle import saddle_drawing
from mapmpi.store.rundir import RunDirectory

EVIL = "<script>alert(1)</script></style><!--\"'&"


def report(run: RunDirectory, *words: str) -> str:
    """Write the page of a run and return it."""
    assert main([str(run.path), *(words or ["--no-figures"])]) == 0
    return run.report.read_text(encoding="utf-8")


def data(page: str) -> list[dict]:
    """Return the films in a page."""
    match = re.search(r'<script type="application/json" id="films">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    found: list[dict] = json.loads(match[1])
    return found


@pytest.fixture
def both(tmp_path: Path) -> RunDirectory:
    """A run that was trained with a plan, and refined."""
    run = reported.make_run(tmp_path / "run", exploration={"kind": "planned"})
    reported.train(run)
    reported.refine(run)
    reported.checkpoint_with_a_map(run)
    return run


def test_a_whole_run(both: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    page = report(both, "--output", str(both.report))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"Report: {both.report}"
    # k_BT/h-bar at 623.15 K is 8.16e13 Hz; barriers of 1.0 and 0.5 eV, back as high as forth
    assert said[1].startswith("Answer: 1.5 µs for 6.0 Å at 350 °C (623.15 K), over a highest barrier of 1.00 eV")
    assert "by ReaxFF “Made up” (ffield.reax); all 2 saddles are verified." in said[1]
    for part in ("Pathways by time", "Network of minima", "How the training went", "The energy map"):
        assert f"<h2>{part}" in page
    assert len(re.findall(r"<section ", page)) == 7
    names = {file.name for file in both.figures.iterdir()}
    expected = {"training-position", "training-best-path", "training-reward", "training-terms", "training-epsilon"}
    expected |= {"training-loss", "energy-map", "network-of-minima", "arrhenius-time", "arrhenius-diffusion"}
    expected |= {"pathway-001-profile", "pathway-002-profile", "pathway-001-saddle", "pathway-002-saddle"}
    assert names == {f"{name}.{form}" for name in expected for form in ("png", "pdf")}
    for name in expected:
        assert np.ptp(imread(both.figures / f"{name}.png")) > 0.5  # something is drawn
    assert len(page) < 2_000_000
    assert "http" not in re.sub(
        r"http-equiv|http://www.w3.org/2000/svg", "", page
    )  # nothing is loaded from anywhere


def test_how_far_agents_came_is_counted_from_the_start_as_the_goal_is(both: RunDirectory) -> None:
    run = gather(both.path)
    axes = next(one for one in curves.training_curves(run) if one.name == "training-position").figure.axes[0]
    marked = np.concatenate([line.get_ydata() for line in axes.lines if line.get_marker() in "o^s*"])
    assert sorted(marked) == sorted(run.episodes["progress"])
    assert any(set(line.get_ydata()) == {run.config.goal.distance} for line in axes.lines)


def test_the_answer_tells_a_climb_over_several_hops(tmp_path: Path) -> None:
    """Barriers of 1.0 and 0.7 eV, the second from a basin at 0.6 eV: 1.3 eV in all."""
    run, steps = reported.make_run(tmp_path / "run"), pathway(1.0, 1.3)
    assert steps.climb_ev == pytest.approx(1.3)
    steps.basins[1] = replace(steps.basins[1], energy=-99.4)
    assert max(steps.barriers_ev()) == pytest.approx(1.0)
    assert steps.climb_ev == pytest.approx(1.3)
    steps.basins[0] = replace(steps.basins[0], energy=-98.0)  # downhill first: only the second hop climbs
    assert steps.climb_ev == pytest.approx(0.7)
    assert np.isnan(doubtful().climb_ev)
    steps.basins[0] = replace(steps.basins[0], energy=-100.0)
    reported.refine(run, steps)
    assert "over a highest barrier of 1.00 eV and a climb of 1.30 eV over several, by" in answer(gather(run.path))


def test_the_picture_of_a_saddle_shows_each_atom_near_it_once_and_how_far_it_moved() -> None:
    one = pathway(1.0, 1.5)
    drawing = saddle_drawing(one)
    assert drawing is not None
    assert "hop 2→3, 1.50 eV above its basin" in drawing.caption
    axes = drawing.figure.axes[0]
    indices, shifts = near_the_way(one)
    top = one.hops[1].band[one.hops[1].top]
    apart = np.linalg.norm(top[indices] + shifts - top[0], axis=1)
    assert len(axes.patches) == (apart < saddle.NEAR).sum() > 2
    drawn = np.array([disc.get_center() for disc in axes.patches])
    assert np.linalg.norm(drawn, axis=1).max() < saddle.NEAR
    assert np.abs(drawn).min() == pytest.approx(0.0)  # the tagged atom in the middle
    assert saddle_drawing(replace(doubtful(), hops=[doubtful().hops[2]], basins=doubtful().basins[2:])) is None


def test_quantum_nuclei_are_in_the_page(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    reported.refine(run, hydrogen_like(0.5), prefactor="vineyard")
    page = report(run)
    assert '<th class="number">zero point (eV)</th>' in page
    assert '<td class="number">0.438</td>' in page  # 0.5 eV less the zero point of the mode that is lost, 0.062
    assert re.search("623.15 K: time .*, corrected .*; passage time", page)
    reported.refine(run, hydrogen_like(0.5))
    assert "zero point (eV)" not in report(run)


def test_a_run_that_was_only_trained(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    reported.train(run)
    page = report(run)
    assert "Not refined yet" in page
    assert "with a climb of 1.10 eV (agent 2 episode 2" in page
    assert "mapmpi.pneb" in page
    assert 'id="view"' not in page.split("<script>")[0]
    assert data(page) == []
    assert "temperature 1" in page  # what failed


def test_a_run_that_was_only_refined(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    reported.refine(run)
    page = report(run)
    assert "How the training went" not in page
    assert [one["name"] for one in data(page)] == ["pathway-001", "pathway-002"]


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    page = report(reported.make_run(tmp_path / "run"))
    assert "Nothing yet" in page


def test_a_pathway_that_is_newer_than_the_ranking_is_there_and_one_of_other_settings_is_not(
    tmp_path: Path,
) -> None:
    import os

    run = reported.make_run(tmp_path / "run")
    reported.refine(run)
    ranking = run.pathways / "pathways.csv"
    for name, age in (("older", -100.0), ("newer", 100.0)):
        file = run.pathways / f"{name}.h5"
        reported.record.save(file, replace(pathway(2.0), name=name), {})
        when = ranking.stat().st_mtime + age
        os.utime(file, (when, when))
    assert [one.name for one in gather(run.path).refined] == ["pathway-001", "pathway-002", "newer"]


def test_what_is_missing_and_doubtful_is_said(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    reported.refine(run, doubtful())
    page = html.unescape(report(run))
    assert "No time yet: the best pathway, pathway-001, is incomplete: not converged" in page
    assert " ".join(DOUBTS.split()) in page
    assert [hop["status"] for hop in data(page)[0]["hops"]] == ["verified", "not verified", "no saddle"]
    assert data(page)[0]["hops"][2]["forward"] is None


def test_a_diffusion_tensor_is_told_where_there_is_one(both: RunDirectory) -> None:
    assert "walker" not in report(both)
    for axes, told in (((False, False, False), False), ((True, True, False), True)):
        one = Diffusion(np.diag([2e-9, 3e-9, 0.0]), axes, operations=16)
        write_diffusion(both.pathways / "diffusion.csv", {(500.0, "classical"): one}, "hbar")
        page = report(both)
        assert ("D of a walker on the network, 500 K: x 2e-09, y 3e-09, z 0 cm²/s." in page) is told
        assert ("by 16 symmetry operations of the host" in page) is told
    (both.pathways / "diffusion.csv").write_text("temperature_K\nwarm\n")
    assert "diffusion.csv is no table of D" in html.unescape(report(both))


def test_damaged_files_are_sentences_in_the_report(both: RunDirectory) -> None:
    (both.pathways / "pathway-002.h5").write_bytes(b"no HDF5")
    both.metrics.write_text("agent,episode\nx,y\n")
    (both.checkpoints / "checkpoint-000001.npz").write_bytes(b"no archive")
    page = html.unescape(report(both))
    for part in (
        "pathway-002.h5 is not a pathway file",
        "metrics.csv",
        "checkpoint-000001.npz is not a checkpoint",
    ):
        assert part in page
    assert [one["name"] for one in data(page)] == ["pathway-001"]
    assert (both.checkpoints / "checkpoint-000001.npz").exists()  # a report mends nothing


@pytest.mark.parametrize("damage", ["missing", "no run", "yaml", "keys"])
def test_what_is_no_run_directory_is_refused_in_a_sentence(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    if damage == "no run":
        path.mkdir()
    elif damage != "missing":
        run = reported.make_run(path)
        run.config.write_text({"yaml": "a: [", "keys": "structure: {file: x}\nvery: wrong\n"}[damage])
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mapmpi: ")
    assert len(error.splitlines()) == 1


def test_a_run_whose_input_has_the_keys_of_before_and_whose_files_are_gone_is_told(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run", forcefield={"reaxff_file": "/nowhere/ffield.mine"})
    reported.refine(run)
    text = run.config.read_text().replace("# forces", "# other").replace("    first: path\n", "")
    run.config.write_text(text.replace("pneb:\n", "pneb:\n  first_band: idpp\n"))
    found = gather(run.path)
    assert found.config.pneb.band.first == "idpp"
    assert found.forces == "ReaxFF (ffield.mine)"


def test_forces_of_an_ase_calculator_are_not_called_reaxff(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run", forcefield={"ase": "emt"})
    run.config.write_text(run.config.read_text().replace("# forces", "# other"))
    assert gather(run.path).forces == "ASE’s calculator emt"


def test_texts_of_a_run_stay_texts(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    evil = replace(pathway(1.0), source=EVIL, notes=(EVIL,))
    evil.hops[0] = replace(evil.hops[0], name=EVIL, reason=EVIL, verified=False)
    reported.refine(run, evil)
    run.config.write_text(f"# forces: {EVIL}\n# {EVIL}: {EVIL}\n" + run.config.read_text())
    run.logs.mkdir()
    (run.logs / "rank-00000.log").write_text(f"2026-01-01 WARNING rank 0: {EVIL}\n")
    page = report(run)
    assert "<script>alert" not in page
    assert "<!--" not in page
    assert page.count("<script>") == 1
    assert page.count("</style>") == 1
    assert data(page)[0]["hops"][0]["name"] == EVIL


def test_terminal_signs_do_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = reported.make_run(tmp_path / "run", forcefield={"commands": ["pair_style \x1b[2Jlj"]})
    reported.refine(run)
    run.config.write_text(run.config.read_text().replace("# forces", "# other"))
    report(run)
    assert "\x1b" not in capsys.readouterr().out


def test_names_are_no_formulas(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    reported.refine(run, replace(pathway(1.0), name="$\\frac{$"))
    assert main([str(run.path)]) == 0
    assert (run.figures / "$\\frac{$-profile.png").exists()


def test_a_film_holds_the_path_and_its_surroundings() -> None:
    one = pathway(1.0, 0.5)
    told = film(one)
    assert told["kinds"] == ["basin", *["image"] * 2, "saddle", *["image"] * 2] * 2 + ["basin"]
    assert [(hop["first"], hop["top"], hop["last"]) for hop in told["hops"]] == [(0, 3, 6), (6, 9, 12)]
    energies = [point.energy + 100.0 for point, *_ in one.frames()]
    assert told["energies"] == pytest.approx(energies, abs=1e-4)
    indices, shifts = near_the_way(one)
    assert indices[:3].tolist() == [0, 1, 2]  # the molecule, once
    assert (shifts[:3] == 0).all()
    places = one.basins[0].positions[indices] + shifts
    # the second Si stands at x = 19 Å, and its image across the border, at -1 Å, is the one near the way
    assert any(index == 4 and abs(place[0] + 1.0) < 1e-9 for index, place in zip(indices, places, strict=True))
    assert not any(
        index == 4 and abs(place[0] - 19.0) < 1e-9 for index, place in zip(indices, places, strict=True)
    )


def test_a_long_film_is_thinned_but_keeps_its_stations() -> None:
    one = pathway(1.0, 0.5)
    told = film(one, most_bytes=8 * len(near_the_way(one)[0]) * 6)
    assert told["kinds"].count("basin") == 3
    assert told["kinds"].count("saddle") == 2
    assert len(told["kinds"]) <= 6 < len(list(one.frames()))
    assert told["kinds"][told["hops"][1]["top"]] == "saddle"


def test_agents_are_averaged_along_their_own_actions() -> None:
    episodes = np.zeros(5, dtype=[("agent", "i4"), ("actions", "i4")])
    episodes["agent"], episodes["actions"] = [1, 2, 1, 2, 1], [10, 30, 10, 10, 20]
    grid, rows = curves.by_agent(episodes)
    assert grid.tolist() == [0.0, 20.0, 40.0]
    assert rows[1].tolist() == [0, 2, 4]  # after 10, 20 and 40 actions
    assert rows[2].tolist() == [1, 1, 3]


def test_the_network_has_each_minimum_once(both: RunDirectory) -> None:
    run = gather(both.path)
    found = network.make_network(run.refined, run.config)
    ways = [point.positions[0, 0] - found.minima[0].positions[0, 0] for point in found.minima]
    assert ways == pytest.approx([0.0, 3.0, 6.0])
    passes = [(one.gap, "pathway-001" in one.pathways) for one in found.edges]
    assert passes == [((0, 1), True), ((1, 2), True), ((0, 1), False)]
    beside = network.make_network([with_a_pass_beside()], run.config)
    assert [point.energy for point in beside.minima] == pytest.approx([-100.0, -100.0, -99.8])
    assert ["pathway-001" in one.pathways for one in beside.edges] == [True, False]


def test_the_map_is_made_again_from_a_checkpoint(both: RunDirectory) -> None:
    run = gather(both.path)
    found = read_map(both, run.config, run.refined)
    assert found is not None
    assert found.energies.shape == tuple(len(ticks) for ticks in found.ticks)
    assert found.visits == 60
    assert 0 < found.known.mean() < 1
    assert [line.name for line in found.lines][-1] == "pathway-001"
    trained = {line.name for line in found.lines if not line.refined}
    assert trained == {"agent 2 episode 2", "agent 1 episode 2", "agent 2 episode 1"}


def test_a_map_that_was_given_up_is_shown_with_these_words(both: RunDirectory) -> None:
    reported.checkpoint_with_a_map(both, mapped=False)
    assert "The training gave the map up" in report(both)


def test_measurements_are_shown_of_water_in_silica_alone() -> None:
    water = Atoms("OHH", np.eye(3))
    assert kinetics.is_water_in_silica(replace(pathway(1.0), atoms=water + Atoms("SiO2" * 10)))
    for other in (Atoms("OHHSi2"), water + Atoms("SiC2" * 10), Atoms("OHHOHH") + Atoms("SiO2")):
        assert not kinetics.is_water_in_silica(replace(pathway(1.0), atoms=other))
    # the law of the source, and the two times of the MAP as L²/2t
    assert kinetics.measured_cm2_s(np.array([623.15])) == pytest.approx(1.23e-11, rel=0.01)
    assert list(kinetics.SIMULATED_CM2_S) == pytest.approx([4.2e-18, 2.7e-19], rel=0.01)


def test_a_time_that_is_known_at_some_temperatures_alone_is_dots(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    kelvin = reported.KELVINS[0]
    route = replace(pathway(1.0, 0.5), name="network", passage_times_s=((kelvin, 1234.0),))
    assert route.passage_time_s("hbar", kelvin) == 1234.0
    assert np.isnan(route.passage_time_s("hbar", kelvin + 0.01))  # the chain of its hops alone has another
    reported.refine(run, route, replace(pathway(1.5), name="pathway-002"))
    times = kinetics.kinetics_drawings(gather(run.path))[0].figure.axes[0]
    lines = {line.get_label(): line for line in times.get_lines()}
    assert lines["network"].get_xydata().tolist() == [[1e3 / kelvin, 1234.0]]
    assert lines["network"].get_marker() == "o"
    assert len(lines["pathway-002"].get_xdata()) > 10


def test_the_answer_is_honest_about_saddles(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    one = pathway(1.0, 0.5)
    one.hops[1] = replace(one.hops[1], verified=False, reason=DOUBTS)
    reported.refine(run, one)
    assert answer(gather(run.path)).endswith("; 1 of 2 saddles is not verified.")


in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

PICTURE = "document.getElementById('view').toDataURL()"


DARK = """(() => {
    const view = document.getElementById("view"), { width, height } = view;
    const values = view.getContext("2d").getImageData(0, 0, width, height).data;
    return values.filter((value, place) => place % 4 < 3 && value < 230).length;
})()"""
"""How many colour values of the view are not white."""


MOVES = """new Promise((done) => {
    const slider = document.getElementById("frame"), before = slider.value;
    const look = setInterval(() => { if (slider.value !== before) { clearInterval(look); done(true); } }, 20);
    setTimeout(() => done(false), 30000);
})"""
"""Whether the film goes on."""


def choose(browser: Browser, name: str, value: str) -> None:
    """Choose an entry of a list as a reader does."""
    browser.run(
        f"(() => {{ const one = document.getElementById({name!r}); one.value = {value!r}; "
        "one.dispatchEvent(new Event('change')); })()"
    )


def text(browser: Browser, selector: str) -> str:
    """Return the text of an element."""
    return str(browser.run(f'document.querySelector("{selector}").textContent'))


@in_a_browser
@pytest.mark.timeout(600)
def test_the_page_in_a_browser(both: RunDirectory, tmp_path: Path) -> None:
    report(both)
    alone = tmp_path / "elsewhere.html"
    shutil.copy(both.report, alone)
    with Browser() as browser:
        browser.open(alone)
        assert text(browser, "h1") == "1.5 µs"
        assert browser.run(DARK) > 2000
        assert browser.run("document.querySelectorAll('#profile .saddle').length") == 2
        assert "transition state, 1.00 eV" in text(browser, "#caption")
        assert "Closest Si: atom 5, 2.50 Å" in text(browser, "#silicon")
        pictures = {browser.run(PICTURE)}

        def changed() -> bool:
            """Tell whether the view shows what it has not shown before."""
            now = browser.run(PICTURE)
            new = now not in pictures
            pictures.add(now)
            return new

        x, y = browser.place("#view")
        browser.drag((x, y), (x + 80, y + 60))
        assert changed()
        browser.click("#on")
        assert changed()
        browser.click("#parts button:last-child")
        assert changed()
        assert text(browser, "#parts [aria-pressed=true]").startswith("2→3")
        choose(browser, "colour", "element")
        assert changed()
        browser.click("button[data-film='0'][data-hop='0']")
        assert text(browser, "#parts [aria-pressed=true]").startswith("1→2")
        browser.click("#play")
        assert "pause" in text(browser, "#play")
        assert browser.run(MOVES)
        browser.click("#play")
        choose(browser, "pathway", "1")
        assert browser.run("document.querySelectorAll('#parts button').length") == 2
        browser.click("#reset")
        for image in range(browser.run("document.images.length")):
            assert browser.run(f"document.images[{image}].naturalWidth") > 0
        assert browser.complaints == []
        assert all(url.startswith(("file:", "data:")) for url in browser.requests)


@in_a_browser
@pytest.mark.timeout(600)
def test_the_page_fits_a_telephone_and_hostile_texts_do_nothing(tmp_path: Path) -> None:
    run = reported.make_run(tmp_path / "run")
    evil = replace(pathway(1.0, 0.5), source=EVIL, notes=(EVIL,))
    evil.hops[0] = replace(evil.hops[0], name="<img src=x onerror=document.title='hit'>" + EVIL)
    reported.refine(run, evil)
    report(run)
    with Browser(390, 800) as browser:
        browser.open(run.report)
        assert browser.run("document.documentElement.scrollWidth") <= 390
        assert browser.run(DARK) > 500
        assert "hit" not in browser.run("document.title")
        assert browser.run("document.querySelectorAll('img[src=x]').length") == 0
        assert browser.complaints == []
