"""Interruption of the command line: one signal waits for the candidate that runs, two end at once, workers included.

As a script: the command `nas`, with candidates that wait at a gate (`test_nas_cli_signals.py FOLDER search …`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import TOY
from helpers.search import read_numbers

from nas import cli
from nas.architecture import Architecture
from nas.config import Config, Parts, build
from nas.runs import launch
from nas.store import Store
from nas.task import Bank
from nas.trial import Score


@dataclass(frozen=True)
class Gated:
    """Candidates that say which process they are in, and wait, while there is a file `closed`, for a word to go on."""

    folder: Path
    tasks: Any
    learner: Any

    def check(self, architecture: Architecture) -> None:
        pass

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        sys.stdout.write("noise on standard output\n")
        if (self.folder / "closed").exists():
            (self.folder / "pids").write_text(f"{os.getpid()}\n")
            (self.folder / "go").read_text()
        value = sum(architecture.picks.values()) / 7
        return Score(value, 0.1, (0.0, value), (value, value + 0.1), {"parameters": 1.0, "flops": 1.0})

    def measure(self, architecture: Architecture, budget: int, seed: int, *, bank: Bank, weights: Path) -> Score:
        return replace(self.evaluate(architecture, budget, seed), metrics={})


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    (tmp_path / "toy.toml").write_text(TOY)
    (tmp_path / "closed").touch()
    for pipe in ("pids", "go"):
        os.mkfifo(tmp_path / pipe)
    return tmp_path


def gated(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, str(folder), *arguments],
        cwd=folder,
        env={**os.environ, "NAS_RUNS": str(folder / "runs")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(process: subprocess.Popen[str], word: str) -> None:
    """Reads what the process says until a line has the word."""
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"ended without saying {word!r}")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_lets_the_running_candidate_finish_and_a_resume_goes_on(gate, number):
    process = gated(gate, "search", "toy.toml", "--name", "a", "--json")
    (pid,) = read_numbers(gate / "pids", 1)
    process.send_signal(number)
    until(process, "stopping: ")
    (gate / "go").write_text("go")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    document = json.loads(out)
    assert out.count("\n") == 1
    assert (document["state"], document["final"], document["best"]) == ("interrupted", None, 0)
    assert [trial["state"] for trial in document["trials"]] == ["done"]
    assert gone(pid)
    assert "Traceback" not in err
    if number == signal.SIGTERM:
        return
    (gate / "closed").unlink()
    resumed = gated(gate, "resume", "a", "--json")
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    after = json.loads(out)
    assert after["state"] == "done"
    assert after["trials"][0] == document["trials"][0]
    assert len(after["trials"]) == 3


def test_two_signals_end_at_once_with_nothing_left_behind(gate):
    process = gated(gate, "search", "toy.toml", "--name", "a")
    (pid,) = read_numbers(gate / "pids", 1)
    process.send_signal(signal.SIGINT)
    until(process, "stopping: ")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, "Traceback" in err) == ("", False)
    until_gone(pid)
    with Store.open(gate / "runs" / "a" / "trials.sqlite", readonly=True) as store:
        assert [trial.state for trial in store.trials()] == ["pending"]


def until_gone(pid: int) -> None:
    """The system may take a moment to bury a process that was killed: its parent is gone, and another adopts it."""
    for _ in range(10_000):
        if gone(pid) or Path(f"/proc/{pid}/stat").read_text().split(") ")[1].startswith("Z"):
            return
        os.sched_yield()
    raise AssertionError(f"worker {pid} outlives its master")


def main(folder: Path) -> None:
    """The command `nas`, with candidates that wait at the gate in a folder."""

    def gated_parts(config: Config, *costs: Any) -> Parts:
        parts = build(config, *costs)
        waits: Any = Gated(folder, parts.evaluator.tasks, parts.evaluator.learner)
        return replace(parts, evaluator=waits, baseline_evaluator=waits)

    launch.build = gated_parts
    cli.main()


if __name__ == "__main__":
    where = Path(sys.argv.pop(1))
    main(where)
