"""Runs of seconds in this process: their config, progress that counts or interrupts, and results to compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.config import Config, from_json
from nas.executors import InlineExecutor
from nas.runs import launch, summary
from nas.runs.folder import RunFolder
from nas.store import Store
from nas.trial import Trial

TRIALS, EVENTS = 4, 4 + 4 + 4
"""Candidates; and what can be heard: each of them, 2 + 2 fresh and 2 + 2 test measurements."""


def toy(**tables: Any) -> Config:
    """A search of seconds, of a controller that learns from all it is told."""
    usual: dict[str, Any] = {
        "space": {"name": "mlp", "widths": [4, 8], "max_depth": 2},
        "controller": {"name": "reinforce", "batch": 2, "hidden": 4, "layers": 1},
        "tasks": {"name": "sinusoid", "shots": 4, "queries": 4},
        "evaluator": {
            "learner": {"name": "maml", "inner_lr": 0.01, "steps": 2},
            "norm": "none",
            "budget": 2,
            "tasks_per_step": 2,
            "validation_tasks": 4,
        },
        "search": {"trials": TRIALS, "workers": 1, "device": "cpu"},
        "final": {"top": 1, "seeds": 2, "budget": 3, "validation_tasks": 4, "tasks": 4, "baseline": "mlp40"},
    }
    return from_json({name: {**usual[name], **tables.get(name, {})} for name in usual})


class Quiet:
    """Hears of everything, and calls `at` with the number of each thing that it hears."""

    def __init__(self, at: Callable[[int], None] = lambda event: None) -> None:
        self.at, self.events, self.stops = at, 0, 0
        self.measuring = False

    def checking(self, what: str) -> None:
        assert what

    def started(self, run: RunFolder, config: Config, done: list[Trial], workers: int) -> None:
        assert workers == 1

    def running(self, started: Mapping[int, float], finals_s: float) -> None:
        assert len(started) == 1
        assert finals_s >= 0

    def trial(self, trial: Trial, best: Trial) -> None:
        assert trial.score is None or (best.budget, best.value) >= (trial.budget, trial.value)
        self._heard()

    def measured(self, done: int, of: int) -> None:
        """The first of each bank only says how many were measured in an earlier life."""
        if self.measuring:
            self._heard()
        self.measuring = done < of

    def exhausted(self) -> None:
        pass

    def stopping(self) -> None:
        self.stops += 1

    def _heard(self) -> None:
        self.events += 1
        self.at(self.events)


@pytest.fixture(autouse=True, name="runs_here")
def own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(name="inline")
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs happen in this process, with one thread as in a worker's."""

    monkeypatch.setattr(launch, "engine_of", lambda *_: InlineExecutor())
    # Drawing the figures would take most of the time.
    monkeypatch.setattr(launch, "write_report", lambda run, *_: (run.folder / "report.html").write_text("drawn"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def result(run: RunFolder) -> tuple[Any, ...]:
    """All that must not depend on how often a run was broken."""
    with Store.open(run.store_path, readonly=True) as store:
        trials = [
            (t.number, t.architecture, t.budget, t.seed, t.state, t.error, t.score and (t.score.value, t.score.stderr))
            + ((t.score.curve, t.score.per_task, t.score.protocol, t.score.provenance) if t.score else ())
            for t in store.trials()
        ]
        measured = {
            key: record["score"] and {name: value for name, value in record["score"].items() if name != "metrics"}
            for key, record in store.items("measured/").items()
        }
        told = [trial.number for trial in store.told()]
        return trials, told, measured, store.get("final"), summary.state(store, run)


class Crash(BaseException):
    """The end of a process, or as near as one can come to it without one."""


def crash_at(event: int) -> Quiet:
    def crash(heard: int) -> None:
        if heard == event:
            raise Crash

    return Quiet(crash)
