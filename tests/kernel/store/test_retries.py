"""Writes to a store that are repeated while the disk is full."""

from __future__ import annotations

import itertools
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from helpers.loop import new_store  # noqa: F401  # fixture
from helpers.search import Toy, run_toy

from nas.architecture import Architecture
from nas.errors import WriteError
from nas.store import Store
from nas.store.retries import FIRST_S, LONGEST_S, Retries
from nas.trial import Score

LIMIT_BYTES = 60_000
"""Size of files from which on the disk counts as full."""


@contextmanager
def full_disk() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Time:
    """A clock that sleeping moves, and a person who makes room after so many seconds."""

    def __init__(self, room_at: float) -> None:
        self.now, self.room_at = 0.0, room_at

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.room_at:
            soft = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, soft))


@dataclass(frozen=True)
class Long(Toy):
    """A toy whose scores take much room."""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        return replace(super().evaluate(architecture, budget, seed), per_task=(1 / 3,) * 1000)


def test_a_search_waits_for_room_and_is_the_unbroken_one(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    time = Time(room_at=5.0)
    store.retries = Retries(100.0, sleep=time.sleep, clock=lambda: time.now)
    with full_disk(), caplog.at_level(logging.WARNING):
        assert run_toy(store, evaluator=Long(), trials=20) == "done"
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [1.0, 2.0, 4.0]
    assert "nothing stored before is lost" in caplog.text
    with Store.create(tmp_path / "unbroken.sqlite", {}) as whole:
        run_toy(whole, evaluator=Long(), trials=20)
        assert store.trials() == whole.trials()
        assert store.told() == whole.told()


def test_after_its_time_the_write_fails_and_the_search_goes_on_later(tmp_path: Path, store: Store) -> None:
    time = Time(room_at=1e9)
    store.retries = Retries(300.0, sleep=time.sleep, clock=lambda: time.now)
    told: list[int] = []
    with full_disk(), pytest.raises(WriteError, match="nothing stored before is lost"):
        run_toy(store, evaluator=Long(), trials=20, on_trial=lambda trial: told.append(trial.number))
    assert time.now == pytest.approx(300.0)
    assert [trial.number for trial in store.told()] == told
    assert run_toy(store, evaluator=Long(), trials=20) == "done"
    with Store.create(tmp_path / "unbroken.sqlite", {}) as whole:
        run_toy(whole, evaluator=Long(), trials=20)
        assert store.trials() == whole.trials()


def test_a_request_to_stop_ends_the_wait() -> None:
    time, stops = Time(room_at=1e9), iter([False, False, True, True])
    calls: list[float] = []

    def write() -> None:
        calls.append(time.now)
        raise WriteError("full")

    with pytest.raises(WriteError):
        Retries(1000.0, lambda: next(stops), time.sleep, lambda: time.now).call(write)
    assert calls == [0.0, pytest.approx(0.2)]


def test_the_waits_double_up_to_a_longest_one() -> None:
    time, calls = Time(room_at=1e9), []

    def write() -> None:
        calls.append(time.now)
        raise WriteError("full")

    with pytest.raises(WriteError):
        Retries(500.0, sleep=time.sleep, clock=lambda: time.now).call(write)
    waits = [after - before for before, after in itertools.pairwise(calls)]
    assert waits[:2] == pytest.approx([FIRST_S, 2 * FIRST_S])
    assert max(waits) == pytest.approx(LONGEST_S)
    assert calls[-1] == pytest.approx(500.0)
