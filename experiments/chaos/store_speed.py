"""Durable trials a second, against the rate at which the disk itself makes writes durable."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from nas.architecture import Architecture
from nas.store import Store
from nas.trial import Score

from .figures import Figure, Settings

TARGET = 2000
"""Durable trials a second that are to be reached."""
MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one: there the program's own time is what is measured."""
PAGE = 4096
"""Bytes of a page of SQLite; a result changes about two of them."""


def measure(settings: Settings) -> list[Figure]:
    """The rate of durable trials on the disk, and on a file system in memory."""
    trials, rounds = (4000, 9) if settings.full else (400, 3)
    figures = [_speed("the disk", settings.folder, trials, rounds)]
    if os.access(MEMORY, os.W_OK):
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            figures.append(_speed("a file system in memory", Path(folder), trials, rounds))
    return figures


def score(value: float) -> Score:
    """A score such as a table gives."""
    return Score(
        value,
        0.001,
        curve=(value,),
        per_task=(value,),
        metrics={"params": 1e5 * value, "flops": 1e7 * value},
        protocol={"table": "0123456789abcdef" * 4, "column": "cifar10_val_12"},
        cost_s=100 * value,
    )


def architecture(number: int) -> Architecture:
    """An architecture of six choices, which the number decides."""
    return Architecture("cell", {f"edge{place}": number // 5**place % 5 for place in range(6)})


def _speed(where: str, folder: Path, trials: int, rounds: int) -> Figure:
    """The median of several rounds; those of the disk and of the store alternate, since disks change their speed."""
    disk, together, apart = [], [], []
    for number in range(rounds):
        disk.append(_rate(trials, partial(_synced_writes, folder)))
        together.append(_rate(trials, partial(_finished, folder / f"together-{number}.sqlite", later=True)))
        apart.append(_rate(trials, partial(_finished, folder / f"apart-{number}.sqlite", later=False)))
    durable, floor = median(together), median(disk)
    return Figure(
        f"durable trials a second on {where}, each result in one transaction",
        f"≥ {TARGET:,}",
        f"{durable:,.0f} ({min(together):,.0f} to {max(together):,.0f} in {rounds} rounds of {trials:,}); "
        f"{median(apart):,.0f} with each proposal in a transaction of its own; the file system itself makes "
        f"{floor:,.0f} writes of two pages durable a second, one after the other",
        durable >= TARGET,
    )


def _rate(count: int, work: Callable[[int], None]) -> float:
    begin = time.perf_counter()
    work(count)
    return count / (time.perf_counter() - begin)


def _synced_writes(folder: Path, count: int) -> None:
    with _opened(folder / "writes") as descriptor:
        for number in range(count):
            os.pwrite(descriptor, bytes(2 * PAGE), number % 250 * 2 * PAGE)
            os.fdatasync(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _finished(path: Path, count: int, *, later: bool) -> None:
    with Store.create(path, {}) as store:
        for number in range(count):
            [trial] = store.propose([architecture(number)], 12, 0, later=later)
            store.finish(replace(trial, state="done", score=score(number / count), seconds=1.0))
