"""How many agents one learner keeps up with: real ranks, messages, replay and files, but simulated actions.

    python benchmarks/scaling.py [--agents 1,4,16,64,255] [--seconds 0.5] [--window 60] [--out FILE.json]

Every training runs on this machine with so many agents whose engine only sleeps (forcefield.simulated; 1,593 atoms),
half a second an action, give or take. What counts begins WARM_UP_S after all have begun: actions a second, against as
many times the rate of one agent; the learner's share of time on messages and on plans; how many actions ago (median,
of one agent) there were newer weights than those that are acted by; and the memory that an agent's rank has for
itself. With --out the table is kept as JSON, and drawn beside it. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from launch import on_ranks, words_of, write_table

from mapmpi.store.metrics import read_learner

WARM_UP_S = 30.0
INPUT = """\
structure:
  file: {structure}
  tagged_atoms: [193]
  molecule_atoms: [193, 194, 195]
forcefield:
  simulated: {{seconds: {seconds}, spread: 0.3, atoms: 1593}}
goal: {{distance: 10}}
train: {{report_interval: 2s}}
"""
SILICA = Path(__file__).parent.parent / "inputs" / "silica-small.data"


class Memory(threading.Thread):
    """Looks, once a training has warmed up, what memory the ranks of its agents have for themselves, in MB."""

    def __init__(self, run: Path) -> None:
        super().__init__(daemon=True)
        self.run_directory, self.found = run, []

    def run(self) -> None:
        while not self.found:
            time.sleep(2.0)
            if (self.run_directory / "learner.csv").exists():
                rows = read_learner(self.run_directory / "learner.csv")
                if len(rows) and rows["elapsed_s"][-1] > WARM_UP_S:
                    with suppress(OSError):  # a rank has just ended
                        self.found = [own_mb(pid) for pid in agents_of(self.run_directory)]


def agents_of(run: Path) -> list[int]:
    """Return the processes that are a training's agents: Python that was started for this run, and no learner."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            environment = (entry / "environ").read_bytes().split(b"\0") if str(run).encode() in words else []
        except OSError:  # it has ended
            continue
        rank = next((word[9:] for word in environment if word.startswith(b"PMI_RANK=")), b"0")
        if rank != b"0":
            found.append(int(entry.name))
    return found


def own_mb(pid: int) -> float:
    """Return the memory that no other process shares, in MB."""
    lines = (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024.0


def train(agents: int, seconds: float, window: float) -> dict[str, float]:
    """Train with simulated agents; return what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        file, run = Path(folder) / "input.yaml", Path(folder) / "run"
        file.write_text(INPUT.format(structure=SILICA, seconds=seconds))
        memory = Memory(run)
        memory.start()
        began = time.monotonic()
        settings = words_of([f"train.stop.wall_time={WARM_UP_S + window}s"])
        on_ranks(agents + 1, ["-m", "mapmpi.train", str(file), "--run-dir", str(run), *settings])
        wall = time.monotonic() - began
        rows = read_learner(run / "learner.csv")
    rows = rows[rows["elapsed_s"] >= WARM_UP_S]
    span = rows["elapsed_s"][-1] - rows["elapsed_s"][0]
    later = rows[1:]
    return {
        "agents": agents,
        "actions_per_s": round(float(rows["actions"][-1] - rows["actions"][0]) / span, 3),
        "updates_per_s": round(float(rows["updates"][-1] - rows["updates"][0]) / span, 2),
        "message_share": round(float(later["message_share"].mean()), 4),
        "plan_share": round(float(later["plan_share"].mean()), 4),
        "weights_age": round(float(np.nanmedian(later["weights_age"])), 2),
        "untold": round(float(later["untold"].mean()), 4),
        "agent_uss_mb": round(float(np.median(memory.found)), 1) if memory.found else np.nan,
        "start_and_end_s": round(wall - WARM_UP_S - window, 1),
    }


def draw(rows: list[dict[str, float]], file: Path) -> None:
    """Draw rate and efficiency against the number of agents."""
    import matplotlib.pyplot as plt

    agents = np.array([row["agents"] for row in rows])
    rates = np.array([row["actions_per_s"] for row in rows])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    left.loglog(agents, rates, "o-", label="measured")
    left.loglog(agents, rates[0] / agents[0] * agents, ":", color="black", label="proportional")
    left.set(xlabel="agents", ylabel="actions per second")
    left.legend()
    for key, label in (("message_share", "messages"), ("plan_share", "plans")):
        right.semilogx(agents, [100.0 * row[key] for row in rows], "o-", label=label)
    right.set(xlabel="agents", ylabel="share of the learner's time (%)")
    right.legend()
    figure.savefig(file, dpi=150)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", default="1,4,16,64,255", help="numbers of agents, the first for comparison")
    parser.add_argument("--seconds", type=float, default=0.5, help="an action's time")
    parser.add_argument("--window", type=float, default=60.0, help="seconds that count")
    parser.add_argument("--out", type=Path, help="file for the table (JSON); the figure lies beside it")
    args = parser.parse_args()
    rows: list[dict[str, float]] = []
    print("agents  actions/s  efficiency  updates/s  messages  plans  weights' age  untold  own MB  start and end")
    for agents in map(int, args.agents.split(",")):
        row = train(agents, args.seconds, args.window)
        rows.append(row)
        row["efficiency"] = round(
            row["actions_per_s"] / agents / (rows[0]["actions_per_s"] / rows[0]["agents"]), 4
        )
        print(
            "{agents:6} {actions_per_s:10.2f} {efficiency:11.3f} {updates_per_s:10.2f} {message_share:9.3f} "
            "{plan_share:6.3f} {weights_age:13.2f} {untold:7.3f} {agent_uss_mb:7.1f} {start_and_end_s:12.0f} s".format(
                **row
            ),
            flush=True,
        )
    last = rows[-1]
    figures = {
        f"efficiency_{last['agents']}": last["efficiency"],
        "message_share": last["message_share"],
        "weights_age_median": last["weights_age"],
        "agent_uss_mb": last["agent_uss_mb"],
    }
    if args.out is not None:
        write_table(args.out, rows, figures)
        draw(rows, args.out.with_suffix(".png"))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
