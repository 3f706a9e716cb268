"""The input: presets, settings, units, and complaints that name the key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from mapmpi.config import Config, load
from mapmpi.errors import UserError
from mapmpi.store.rundir import RunDirectory
from mapmpi.units import duration_text, seconds

SMALL = "structure: {file: s.xyz, tagged_atoms: [1]}\ngoal: {distance: 5}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.xyz").touch()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "input.yaml"
    path.write_text(text)
    return path


def test_defaults_and_paths(folder: Path) -> None:
    config = load(write(folder, SMALL))
    assert config.structure.file == folder / "s.xyz"  # relative to the input file
    assert config.structure.molecule == [1]
    assert config.learning.double


def test_paper_mode_is_a_preset_that_the_input_can_override(folder: Path) -> None:
    config = load(write(folder, SMALL + "mode: paper\nlearning: {steps: 2}\n"))
    assert config.learning.steps == 2
    assert not config.learning.double
    assert not config.network.dueling
    assert config.rewards.position.measure == "coordinate"
    assert not config.rewards.barrier.enabled
    assert config.state.channels == "merged"


def test_settings_go_before_the_file(folder: Path) -> None:
    path = write(folder, SMALL + "train: {stop: {actions: 7}}\n")
    config = load(path, ["train.stop.wall_time=90s", "rewards.energy.enabled=false", "goal.direction=[0,1,0]"])
    assert config.train.stop.actions == 7
    assert config.train.stop.wall_time == 90.0
    assert not config.rewards.energy.enabled
    assert config.goal.direction == (0.0, 1.0, 0.0)


def test_mode_can_be_set_on_the_command_line(folder: Path) -> None:
    assert not load(write(folder, SMALL), ["mode=paper"]).learning.double


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (SMALL + "lerning: {steps: 1}\n", ["lerning", "unknown key"]),
        (SMALL + "learning: {stepps: 1}\n", ["learning.stepps", "unknown key"]),
        (SMALL + "learning: {steps: many}\n", ["learning.steps", "integer", "many"]),
        (SMALL + "learning: {discount: 1.5}\n", ["learning.discount", "less than 1", "1.5"]),
        (SMALL + "train: {stop: {wall_time: soon}}\n", ["train.stop.wall_time", "duration", "soon"]),
        (SMALL + "train: {stop: {}}\n", ["train.stop", "at least one of"]),
        (SMALL + "goal: {distance: -1}\n", ["goal.distance", "greater than 0"]),
        (SMALL + "dynamics: {timestep: .nan}\n", ["dynamics.timestep"]),
        (SMALL + "dynamics: 5\n", ["dynamics", "5"]),
        ("structure: {file: s.xyz, tagged_atoms: []}\ngoal: {distance: 5}\n", ["structure.tagged_atoms"]),
        ("structure: {file: s.xyz, tagged_atoms: [0]}\ngoal: {distance: 5}\n", ["structure.tagged_atoms.0"]),
        ("structure: {file: none.xyz, tagged_atoms: [1]}\ngoal: {distance: 5}\n", ["structure.file", "none.xyz"]),
        ("goal: {distance: 5}\n", ["structure", "required"]),
        ("- a\n- b\n", ["expected keys and values"]),
        ("structure: {file: [\n", ["not a YAML file"]),
        ("", ["expected keys and values"]),
        (SMALL + "forcefield: {units: metal}\n", ["forcefield", "metal needs commands"]),
    ],
)
def test_complaints_name_the_key_and_what_was_found(folder: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load(write(folder, text))
    for part in parts:
        assert part in str(caught.value)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            SMALL + "train: {stop: {wall_time: 2026-01-01}}\n",
            ["train.stop.wall_time", "this date is not a duration"],
        ),
        (SMALL + "train: {stop: {wall_time: yes}}\n", ["train.stop.wall_time", "no true or false"]),
        (SMALL + "train: {stop: {wall_time: [1]}}\n", ["train.stop.wall_time", "not a duration"]),
        (SMALL + "train: {stop: {wall_time: .inf}}\n", ["train.stop.wall_time", "not a duration"]),
        (SMALL + "train: {stop: {wall_time: 1e999}}\n", ["train.stop.wall_time", "1e999"]),
        (SMALL + f"train: {{stop: {{actions: {'9' * 5000}}}}}\n", ["not a YAML file"]),
        (SMALL + f"train: {{stop: {{actions: 0x{'f' * 6000}}}}}\n", ["train.stop.actions", "very many digits"]),
        (SMALL + "learning: {steps: true}\n", ["learning.steps", "no true or false"]),
        (SMALL + "network: {channels: [16, yes]}\n", ["network.channels", "no true or false"]),
        (SMALL + "network: {hidden: 1000000000000}\n", ["network.hidden", "16384"]),
        (SMALL + "seed: 2026-99-99\n", ["not a YAML file"]),
        (SMALL + "seed: " + "[\n" * 5000, ["not a YAML file", "too deeply"]),
        (SMALL + "seed: !!python/object:os.system ls\n", ["not a YAML file"]),
        (SMALL + "actions: {directions: []}\n", ["actions", "1 to 1000 vectors"]),
        (SMALL + "actions: {directions: [[0, 0, 0]]}\n", ["actions", "zero vector"]),
        (SMALL + "actions: {directions: [[.nan, 0, 0]]}\n", ["actions.directions"]),
        (
            "structure: {file: s.xyz, tagged_atoms: [1]}\ngoal: {distance: 5, direction: [1e-300, 0, 0]}\n",
            ["zero"],
        ),
        ("structure: {file: s.xyz, tagged_atoms: [1]}\ngoal: {distance: 5, direction: [1e300, 0, 0]}\n", ["goal"]),
        ('structure: {file: "s\\0.xyz", tagged_atoms: [1]}\ngoal: {distance: 5}\n', ["structure.file"]),
        (f"structure: {{file: {'s' * 5000}, tagged_atoms: [1]}}\ngoal: {{distance: 5}}\n", ["structure.file"]),
        (SMALL + BOMB, ["unknown key"]),
        (SMALL + "seed: &a [*a]\n", ["seed"]),
        (SMALL + MERGES, ["input.yaml"]),
        ("\0", ["not a YAML file"]),
        ("[1]: 2\n", ["not a YAML file"]),
        ("1: 2\n", ["input.yaml"]),
    ],
)
def test_hostile_inputs_are_refused_in_a_few_words(folder: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load(write(folder, text))
    for part in parts:
        assert part in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_a_large_input_and_a_binary_one_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="512 kB at most"):
        load(write(folder, SMALL + "# " + "x" * 550_000))
    (folder / "input.yaml").write_bytes(b"\x89HDF\r\n\x1a\n\xff")
    with pytest.raises(UserError, match="not a YAML file"):
        load(folder / "input.yaml")


def test_a_run_directory_never_has_an_input_that_is_too_large(folder: Path) -> None:
    config, run = load(write(folder, SMALL)), RunDirectory.create(folder / "run")
    for count in (40_000, 60_000):
        config.structure.fixed_atoms = list(range(2, count))
        if count < 50_000:
            run.write_config(config, {})
            assert load(run.config, structure_needed=False).structure.fixed_atoms == config.structure.fixed_atoms
        else:
            with pytest.raises(UserError, match="nothing could read it again; fix fewer atoms"):
                run.write_config(config, {})


def test_many_mistakes_are_not_all_told(folder: Path) -> None:
    with pytest.raises(UserError, match="30 more mistakes of this kind") as caught:
        load(write(folder, SMALL + "".join(f"key{number}: 1\n" for number in range(50))))
    assert str(caught.value).count("\n") == 20


def test_missing_input_and_broken_settings(folder: Path) -> None:
    with pytest.raises(UserError, match="cannot read the input file"):
        load(folder / "nothing.yaml")
    for setting in ("train.stop", "=3", "a..b=3"):
        with pytest.raises(UserError, match="expected key=value"):
            load(write(folder, SMALL), [setting])
    with pytest.raises(UserError, match="nonsense"):
        load(write(folder, SMALL), ["nonsense=1"])
    with pytest.raises(UserError, match="not YAML"):
        load(write(folder, SMALL), ["goal.distance=[1"])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (
            "train.stop.wall_time=soon",
            "train.stop.wall_time: 'soon' is not a duration; write for example 60s, 10min, 2h or 1d, or: Input should "
            "be 'job', found 'soon'.",
        ),
        (
            "structure.fixed_atoms.axis=q",
            "structure.fixed_atoms.axis: Input should be 'x', 'y' or 'z', found 'q'.",
        ),
        ("actions.directions=[[1, 0]]", "actions.directions.0.2: this key is required and missing; add it."),
    ],
)
def test_a_value_of_no_kind_that_a_key_takes_is_one_mistake_of_that_key(
    folder: Path, setting: str, told: str
) -> None:
    with pytest.raises(UserError) as refusal:
        load(write(folder, SMALL), [setting])
    assert told in str(refusal.value)
    assert "[" not in str(refusal.value).partition(": ")[2].partition(":")[0]


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Yield each key below a model and what is said of it, of a section what its class says."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield f"{prefix}{name}", field.annotation.__doc__
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description


def test_every_key_is_described() -> None:
    told = dict(keys(Config))
    assert {"seed", "learning.learning_rate", "train.stop.actions", "pneb.saddle.force"} <= told.keys()
    assert [key for key, words in told.items() if not words] == []


def test_keys_of_before_are_known_by_their_new_names(tmp_path: Path) -> None:
    path = tmp_path / "input.yaml"
    old = "saddle_force: 0.3, minimum_calls: 7, max_images: 9, searches: 3"
    path.write_text(SMALL + f"pneb: {{{old}, saddle: {{calls: 8}}}}\n")
    settings = ["pneb.saddle_force=0.4", "pneb.first_band=idpp", "pneb.searches_at_once=9"]
    pneb = load(path, settings, structure_needed=False).pneb
    assert (pneb.saddle.force, pneb.saddle.calls, pneb.quench.calls) == (0.4, 8, 7)
    assert (pneb.band.images, pneb.band.first) == (9, "idpp")
    assert (pneb.connect.searches, pneb.connect.at_once) == (3, 9)
    with pytest.raises(UserError, match=r"pneb.quench.calls: .*greater than or equal to 1, found 0"):
        load(path, ["pneb.minimum_calls=0"], structure_needed=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [("60s", 60), ("10min", 600), ("2h", 7200), ("1d", 86400), ("1.5 h", 5400), (30, 30), ("01:30:00", 5400)],
)
def test_durations(text: str | int, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("12:00", 43200.0), ("08:00", 28800.0), ("1:30", 5400.0), ("90", 90.0)]
)
def test_a_clock_is_no_number_to_the_base_of_sixty(folder: Path, text: str, value: float) -> None:
    assert load(write(folder, SMALL), [f"train.stop.wall_time={text}"]).train.stop.wall_time == value


@pytest.mark.parametrize("text", ["soon", "5 weeks", "-3s", ""])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [(0.0, "0 s"), (2e-12, "2 ps"), (0.0025, "2.5 ms"), (90, "90 s"), (600, "10 min"), (86400 * 3, "3 days")],
)
def test_durations_for_readers(duration: float, text: str) -> None:
    assert duration_text(duration) == text
    assert duration_text(3.2e9).endswith("years")


def test_keys_lists_every_key_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    from mapmpi.cli import main

    assert main(["keys"]) == 0
    text = capsys.readouterr().out
    for part in (
        "goal.distance = required",
        "learning.discount = 0.98",
        "train.stop.wall_time",
        "rewards.barrier.weight",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("learning.discont", "learning.discount"),
        ("train.stop.walltime", "train.stop.wall_time"),
        ("train.wall_time", "train.stop.wall_time"),
        ("temperatures", "pneb.temperatures"),
        ("reward", "rewards"),
    ],
)
def test_a_mistyped_key_is_answered_with_the_nearest(folder: Path, key: str, meant: str) -> None:
    with pytest.raises(UserError, match=f"unknown key; did you mean {meant}\\?"):
        load(write(folder, SMALL), [f"{key}=1"])


def test_a_key_that_is_like_none_has_no_advice(folder: Path) -> None:
    with pytest.raises(UserError, match="look for a spelling mistake"):
        load(write(folder, SMALL), ["xyzzy=1"])
