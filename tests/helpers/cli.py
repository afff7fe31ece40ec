"""Command line in this process or in one of its own, and the config of a search that takes seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nas import cli
from nas.executors import InlineExecutor
from nas.runs import launch

TOY = """
[space]
name = "mlp"
widths = [4, 8]
max_depth = 2
[controller]
name = "evolution"
population = 2
tournament = 1
[tasks]
name = "sinusoid"
shots = 4
queries = 4
[evaluator]
learner = { name = "maml", inner_lr = 0.01, steps = 2 }
norm = "none"
budget = 2
tasks_per_step = 2
validation_tasks = 4
[search]
trials = 3
workers = 1
device = "cpu"
[final]
top = 1
seeds = 2
budget = 2
validation_tasks = 4
tasks = 4
baseline = "mlp40"
"""


@pytest.fixture(name="inline")
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates are evaluated in this process, which is quicker than to start workers."""
    monkeypatch.setattr(launch, "engine_of", lambda *_: InlineExecutor())


class Said(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(name="call")
def command_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Said]]:
    """The command in this process: quick, since torch is imported once."""
    monkeypatch.delenv("NAS_RUNS", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = signal.getsignal(signal.SIGINT)

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["nas", *arguments])
        capsys.readouterr()
        status: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
        said = capsys.readouterr()
        return Said(int(status or 0), said.out, said.err)

    yield call
    signal.signal(signal.SIGINT, before)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, on one thread."""
    environment = {name: value for name, value in os.environ.items() if name != "NAS_RUNS"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The real command, in a process of its own."""
    return run(folder, "-m", "nas", *arguments)
