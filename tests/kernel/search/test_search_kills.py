"""Kills of a search or of its workers: no acknowledged result is lost."""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import search
from helpers.loop import new_store, unbroken  # noqa: F401  # fixture
from helpers.search import AT_ONCE, FEW, HALVES, TRIALS, Chain, List, Toy, read_numbers, run_toy

from nas.architecture import Architecture
from nas.executors import ProcessExecutor
from nas.store import Store
from nas.trial import Score, without_duplicates


def child(path: Path, how: str, extra: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, search.__file__, str(path), how, extra]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def check_invariant(path: Path, acknowledged: list[int]) -> None:
    """Every acknowledged trial is there, no number twice, the file whole."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    with Store.open(path, readonly=True) as store:
        finished = [trial.number for trial in store.trials() if trial.state != "pending"]
    assert len(set(finished)) == len(finished)
    assert set(acknowledged) <= set(finished)
    assert len(set(acknowledged)) == len(acknowledged)


@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("how", ["inline", "processes"])
def test_kill_9_after_any_acknowledgement(how: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / "trials.sqlite"
    with child(path, how) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(count)]
        process.kill()
        acknowledged += map(int, process.stdout.read().split())
    check_invariant(path, acknowledged)
    with Store.open(path) as store:
        run_toy(store)
        if how == "inline":
            assert store.trials() == unbroken(tmp_path)
        assert sorted(trial.number for trial in store.told()) == list(range(len(store.trials())))
        assert len(without_duplicates(store.trials())) == TRIALS


def test_kill_9_at_every_kind_of_statement(tmp_path: Path) -> None:
    """One run, killed again and again before its statement number n, gets on, and ends as the unbroken one."""
    path = tmp_path / "trials.sqlite"
    Store.create(path, {}).close()
    acknowledged: list[int] = []
    for statement in range(2, 30):
        with child(path, "statement", str(statement)) as process:
            assert process.stdout is not None
            acknowledged += map(int, process.stdout.read().split())
        assert process.returncode == -signal.SIGKILL
        check_invariant(path, acknowledged)
    assert acknowledged
    with Store.open(path) as store, Store.create(tmp_path / "unbroken.sqlite", {}) as whole:
        assert store.promoted()
        assert len(without_duplicates(store.trials())) < len(store.trials())
        run_toy(store, **HALVES, **FEW, controller=Chain(AT_ONCE))
        run_toy(whole, **HALVES, **FEW, controller=Chain(AT_ONCE))
        assert store.trials() == whole.trials()
        assert store.told() == whole.told()


def test_workers_end_with_a_killed_master_in_the_middle_of_a_call(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with child(tmp_path / "trials.sqlite", "stuck", str(pipe)) as process:
        workers = read_numbers(pipe, 2)
        descriptors = [os.pidfd_open(worker) for worker in workers]
        process.kill()
        for descriptor in descriptors:
            assert select.select([descriptor], [], [], 60)[0], "a worker outlived its master"
            os.close(descriptor)
    with Store.open(tmp_path / "trials.sqlite") as store:
        assert len(store.pending()) == 2
        run_toy(store)
        assert len(store.told()) == TRIALS


def test_candidates_that_kill_or_outstay_their_worker_are_failed_trials(store: Store) -> None:
    with ProcessExecutor(2, deadline_s=30) as executor:
        assert run_toy(store, evaluator=Deadly(), controller=List(TRIALS), executor=executor, workers=2) == "done"
    errors = [trial.error for trial in store.trials() if trial.state == "failed"]
    assert len(errors) == TRIALS / 2
    assert all("WorkerError: worker ended with exit status 0" in (error or "") for error in errors)


class Deadly(Toy):
    """Ends its process for every other architecture of the list."""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        if architecture.picks["bit7"]:
            os._exit(0)
        return super().evaluate(architecture, budget, seed)
