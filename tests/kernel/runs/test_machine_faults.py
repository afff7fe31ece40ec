"""Full disks under a run, and candidates that only seem to meet one."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.launch import TRIALS, Quiet, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures

from nas.architecture import Architecture
from nas.errors import WriteError
from nas.evaluators.meta import MetaEvaluator
from nas.runs import folder, launch, machine_faults
from nas.runs.machine_faults import MOST_FAULTS, MachineFaults
from nas.store import Store
from nas.trial import Score, Trial

ERROR = OSError(errno.ENOSPC, "No space left on device")


def test_a_run_whose_store_stays_full_is_interrupted_and_resumes_to_the_unbroken_one(inline, monkeypatch, caplog):
    whole = folder.new_run("whole", "toy")
    assert launch.start(toy(), whole, Quiet()).state == "done"
    run, finish, full = folder.new_run("full", "toy"), Store.finish, True

    def refuse(store: Store, trial: Trial) -> bool:
        if full and trial.number == 2:
            raise WriteError("the disk is full")
        return finish(store, trial)

    monkeypatch.setattr(Store, "finish", refuse)
    assert launch.start(toy(), run, Quiet()) == launch.Outcome(run, "interrupted", None)
    assert "the run stops: WriteError: the disk is full" in caplog.text
    assert result(run)[4] == "interrupted"
    assert [trial[4] for trial in result(run)[0]] == ["done", "done", "pending"]
    full = False
    assert launch.resume(run, Quiet()).state == "done"
    assert result(run) == result(whole)


def test_a_run_that_cannot_even_store_its_end_counts_as_interrupted(inline, monkeypatch):
    run, put_all = folder.new_run("full", "toy"), Store.put_all
    full: list[bool] = []

    def refuse(store: Store, records: Any) -> None:
        if full:
            raise WriteError("the disk is full")
        put_all(store, records)

    monkeypatch.setattr(Store, "put_all", refuse)
    progress = Quiet(lambda heard: full.append(True) if heard == 2 else None)
    assert launch.start(toy(), run, progress) == launch.Outcome(run, "interrupted", None)
    assert result(run)[4] == "interrupted"
    full.clear()
    assert launch.resume(run, Quiet()).state == "done"


@pytest.mark.parametrize("sound", [True, False])
def test_a_candidate_that_always_raises_the_error_of_a_full_disk(inline, monkeypatch, sound):
    calls, evaluate = [], MetaEvaluator.evaluate

    def refuse(self: MetaEvaluator, architecture: Architecture, budget: int, seed: int) -> Score:
        calls.append(architecture.key)
        if architecture.key == calls[0]:
            raise ERROR
        return evaluate(self, architecture, budget, seed)

    monkeypatch.setattr(MetaEvaluator, "evaluate", refuse)
    monkeypatch.setattr(machine_faults, "_is_sound", lambda _folder: sound)
    run = folder.new_run("raising", "toy")
    assert launch.start(toy(), run, Quiet()).state == ("done" if sound else "interrupted")
    trials = result(run)[0]
    if sound:
        assert calls.count(calls[0]) == MOST_FAULTS
        assert (trials[0][4], trials[0][5]) == ("failed", "OSError: [Errno 28] No space left on device")
        assert len(trials) == TRIALS
    else:
        assert calls == calls[:1]
        assert [trial[4] for trial in trials] == ["pending"]


def test_a_disk_is_sound_where_a_large_file_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_faults, "TRIED_BYTES", 100_000)
    verdict: Callable[[], str] = lambda: MachineFaults().verdict(tmp_path, "0", ERROR)  # noqa: E731
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert verdict() == "again"
    assert list(tmp_path.iterdir()) == []
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        assert verdict() == "stop"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert MachineFaults().verdict(tmp_path / "missing", "0", ERROR) == "stop"
