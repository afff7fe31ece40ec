"""Stores as a crash of the machine may leave them: writes that were not synchronised dropped, torn or reordered."""

from __future__ import annotations

import random
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from unittest import mock

from nas.errors import NasError
from nas.store import sqlite_file
from nas.store.file_system import FileSystem

from . import toy_search
from .crashed_disk import Disk, recorded, write
from .figures import Figure, Settings
from .tracing import why_not

SHARES = (0.0, 1.0, 0.5)
"""Probabilities with which an unsynchronised sector has reached the disk, one a clone."""
FULL_SHARES = (0.0, 1.0, *(0.02 * i for i in range(1, 50)))
CONTINUED = 25
"""One clone in so many is continued to its end."""
LOG, JOURNAL = "write-ahead log", "rollback journal"


def measure(settings: Settings) -> list[Figure]:
    """Clones of a search's store, with a write-ahead log and without one, as on network file systems."""
    return [figure for mode in (LOG, JOURNAL) for figure in clones(settings, mode)]


def clones(settings: Settings, mode: str, every: int = 1) -> list[Figure]:
    """Clones at crashes after each operation.

    Args:
        settings: How much is tried.
        mode: LOG or JOURNAL.
        every: A crash comes after every so many operations.
    """
    name = f"crashes of the machine, {mode}"
    refused = why_not()
    if refused:
        return [Figure(name, "all recovered", f"none tried: {refused}", False)]
    root, folder = settings.folder / mode[0] / "recorded", settings.folder / mode[0] / "clone"
    root.mkdir(parents=True)
    path, clone = root / "runs" / "a" / "trials.sqlite", folder / "runs" / "a" / "trials.sqlite"
    with journal(mode):
        operations, ended = recorded(lambda send: toy_search.carry_on(path, toy_search.numbered(send)), root)
        if ended.status != 0:
            raise RuntimeError(ended.said.decode(errors="replace"))
        whole, draw = toy_search.state(path), random.Random(settings.seed)
        disk, acknowledged, tried, continued = Disk(), [], 0, 0
        words, faults = 0, []
        for number, operation in enumerate(operations):
            disk.apply(operation)
            acknowledged += [int(line) for line in operation.data.split()] if operation.kind == "say" else []
            for share in (FULL_SHARES if settings.full else SHARES) if number % every == 0 else ():
                write(disk.crashed(draw, share), root, folder)
                found = toy_search.lost(clone, acknowledged, whole)
                words += any(fault.startswith(toy_search.REFUSED) for fault in found)
                if not found and tried % CONTINUED == 0:
                    found, continued = _continued(clone, whole), continued + 1
                faults += [f"after operation {number} ({operation.kind}), {share:.0%} kept: {fault}" for fault in found]
                tried += 1
                shutil.rmtree(folder, ignore_errors=True)
    measured = f"{tried:,} clones after each of {len(operations):,} operations: {len(faults)} faults, {words} refused; "
    measured += f"{continued} continued to the unbroken search"
    return [Figure(name, "no acknowledged trial lost, no file refused", measured, not faults, tuple(faults[:20]))]


def _continued(clone: Path, whole: toy_search.State) -> list[str]:
    """What is wrong with the search of a clone that is continued to its end."""
    try:
        toy_search.carry_on(clone)
        return [] if toy_search.state(clone) == whole else ["it is not continued to the unbroken search"]
    except NasError as error:
        return [f"it cannot be continued: {error}"]


def journal(mode: str) -> AbstractContextManager[object]:
    """Has stores written as on a network file system, for JOURNAL."""
    if mode == LOG:
        return nullcontext()
    return mock.patch.object(sqlite_file, "file_system", return_value=FileSystem("nfs4"))
