"""The run directory, its logs and its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

import mapmpi
from mapmpi.config import load
from mapmpi.errors import UserError
from mapmpi.store import checkpoint, rundir
from mapmpi.store.metrics import (
    LEARNER_FIELDS,
    METRICS_FIELDS,
    CsvLog,
    episode_row,
    read_learner,
    read_metrics,
)
from mapmpi.store.records import EPISODE, REWARD_TERMS
from mapmpi.store.rundir import RunDirectory


@pytest.fixture
def input_file(tmp_path: Path) -> Path:
    (tmp_path / "glass.xyz").write_text("only its presence is checked\n")
    tree = {
        "mode": "paper",
        "structure": {"file": "glass.xyz", "tagged_atoms": [3]},
        "goal": {"distance": 8},
        "forcefield": {"qeq_tolerance": 1e-6},
        "actions": {"directions": [[1, 0, 0], [0, 1, 0]]},
        "train": {"stop": {"wall_time": "10min"}},
    }
    path = tmp_path / "input.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_config_yaml_is_an_input_again(tmp_path: Path, input_file: Path) -> None:
    config = load(input_file, ["learning.steps=4"])
    run = RunDirectory.create(tmp_path / "run")
    run.write_config(config, {"ranks": 16, "note": "two\nlines"})
    assert load(run.config) == config
    text = run.config.read_text()
    assert yaml.safe_load(text)["learning"]["discount"] == 0.98  # a default, written out
    head = [line for line in text.splitlines() if line.startswith("# ")]
    assert any(line.startswith(f"# mapmpi: {mapmpi.__version__}") for line in head)
    assert f"# numpy: {np.__version__}" in head
    assert "# ranks: 16" in head
    assert "# note: two lines" in head


def test_run_directory_has_its_tree(tmp_path: Path, input_file: Path) -> None:
    run = RunDirectory.create(tmp_path / "new" / "run")
    assert run.checkpoints.is_dir()
    assert run.trajectory(12) == tmp_path / "new/run/trajectories/agent-00012.h5"
    with pytest.raises(UserError, match="not a run directory"):
        RunDirectory.open(run.path)  # without config.yaml it is none yet
    run.write_config(load(input_file), {})
    for agent in (10, 9):
        run.trajectory(agent).touch()
    assert RunDirectory.open(run.path).trajectory_files() == [run.trajectory(9), run.trajectory(10)]


def test_run_directory_is_never_overwritten(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "empty")
    with pytest.raises(UserError, match="never overwritten"):
        RunDirectory.create(tmp_path / "empty")  # not empty any more
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another folder"):
        RunDirectory.create(tmp_path / "file")


def test_source_commit_needs_its_own_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "mapmpi"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(mapmpi, "__file__", str(package / "__init__.py"))
    assert rundir.source_commit() is None
    monkeypatch.setenv("PATH", str(tmp_path))  # no git at all
    assert rundir.source_commit() is None


def episodes(count: int) -> np.ndarray:
    table = np.zeros(count, EPISODE)
    table["agent"] = np.arange(1, count + 1)
    table["first_frame"] = 2**40
    table["epsilon"] = 0.4 ** (1 + np.arange(count))
    table["total_reward"] = -np.pi * 1e-7
    table["outcome"] = b"step_limit"
    for index, term in enumerate(REWARD_TERMS):
        table[term] = index / 3
    return table


def test_metrics_come_back(tmp_path: Path) -> None:
    path, table = tmp_path / "metrics.csv", episodes(3)
    log = CsvLog(path, METRICS_FIELDS)
    log.write(episode_row(table[0]))
    assert len(read_metrics(path)) == 1  # on the disk without closing
    log.close()
    log = CsvLog(path, METRICS_FIELDS)  # a resumed run
    for record in table[1:]:
        log.write(episode_row(record))
    log.close()
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    assert lines[0] == ",".join(METRICS_FIELDS)
    back = read_metrics(path)
    for name in METRICS_FIELDS:
        if EPISODE[name].kind == "f":
            np.testing.assert_allclose(back[name], table[name], rtol=1e-9)
        else:
            assert np.array_equal(back[name], table[name])


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    path, table = tmp_path / "metrics.csv", episodes(2)
    log = CsvLog(path, METRICS_FIELDS)
    log.write(episode_row(table[0]))
    log.close()
    with path.open("a") as handle:
        handle.write("2,1,0.0")
    assert len(read_metrics(path)) == 1
    log = CsvLog(path, METRICS_FIELDS)
    log.write(episode_row(table[1]))
    log.close()
    assert read_metrics(path)["agent"].tolist() == [1, 2]


def test_a_log_with_other_columns_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "learner.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="other columns"):
        CsvLog(path, LEARNER_FIELDS)
    with pytest.raises(UserError, match="not a log"):
        read_learner(path)
    assert path.read_text() == "a,b\n1,2\n"
    with pytest.raises(UserError, match="cannot read"):
        read_metrics(tmp_path / "none.csv")


@pytest.mark.parametrize(("names", "read"), [(METRICS_FIELDS, read_metrics), (LEARNER_FIELDS, read_learner)])
def test_a_log_of_another_version_is_named(
    tmp_path: Path, names: tuple[str, ...], read: Callable[[Path], object]
) -> None:
    path = tmp_path / "log.csv"
    older = [name for name in names if not name.startswith("parent") and "climb" not in name]
    path.write_text(",".join(older) + "\n" + ",".join("1" * len(older)) + "\n")
    with pytest.raises(UserError, match=r"log\.csv was written by another version .*\(it has no .*climb\)"):
        read(path)
    with pytest.raises(UserError, match="other columns"):
        CsvLog(path, names)


@pytest.mark.parametrize(
    "line",
    [
        "x" + ",1" * 18 + "\n",
        "9" * 30 + ",1" * 18 + "\n",
        "\0,\n",
        '"1\n',
        "1,1\n",
        "é,1\n",
    ],
)
def test_a_damaged_log_is_refused_or_read(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(",".join(METRICS_FIELDS) + "\n" + line)
    with pytest.raises(UserError, match="is not a log of mapmpi"):
        read_metrics(path)


def test_learner_rows(tmp_path: Path) -> None:
    path = tmp_path / "learner.csv"
    log = CsvLog(path, LEARNER_FIELDS)
    log.write({"elapsed_s": 10.0, "actions": 40, "loss": np.nan, "mean_q": np.float32(0.1)})
    with pytest.raises(ValueError, match="speed"):
        log.write({"speed": 1.0})
    log.close()
    row = read_learner(path)[0]
    assert row["actions"] == 40
    assert row["mean_q"] == pytest.approx(0.1)
    assert np.isnan(row["loss"])
    assert np.isnan(row["best_reward"])


def test_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "latest.npz"
    rng = np.random.default_rng(5)
    arrays = {
        "network/conv.0.weight": rng.normal(size=(4, 3, 3)).astype("f4"),
        "file": rng.integers(0, 255, (7, 2), dtype=np.uint8),
        "scalar": np.array(3),
        "episodes": episodes(2),
    }
    checkpoint.save(path, arrays, {"updates": 12, "rng": rng.bit_generator.state})
    back, metadata = checkpoint.load(path)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)
    again = np.random.default_rng()
    again.bit_generator.state = metadata["rng"]
    assert again.random() == rng.random()


def test_a_failed_save_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "latest.npz"
    checkpoint.save(path, {"w": np.ones(3)}, {"updates": 1})
    with pytest.raises(ValueError, match="Object"):
        checkpoint.save(path, {"w": np.zeros(3), "x": np.array([{}])}, {"updates": 2})
    with pytest.raises(TypeError):
        checkpoint.save(path, {"w": np.zeros(3)}, {"updates": np.arange(2)})
    arrays, metadata = checkpoint.load(path)
    assert arrays["w"].tolist() == [1, 1, 1]
    assert metadata == {"updates": 1}


@pytest.mark.parametrize("damage", ["missing", "text", "half", "npy"])
def test_a_bad_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "latest.npz"
    if damage == "text":
        path.write_text(json.dumps({}))
    elif damage == "half":
        checkpoint.save(path, {"w": np.ones(1000)}, {})
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "npy":
        with path.open("wb") as handle:
            np.save(handle, np.ones(3))
    with pytest.raises(UserError, match=r"latest\.npz"):
        checkpoint.load(path)


def test_next_free_directory_is_above_all_others(tmp_path: Path) -> None:
    assert RunDirectory.next_free(Path("a/glass.yaml"), tmp_path) == tmp_path / "glass-001"
    for name in ("glass-002", "glass-007", "glass-old", "other-009"):
        (tmp_path / name).mkdir()
    assert RunDirectory.next_free(Path("a/glass.yaml"), tmp_path) == tmp_path / "glass-008"
