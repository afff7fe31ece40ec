"""Searches cut after a write and resumed, for every controller: the same trials, scores, order, digests and state."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.analysis.ranking import num_candidates
from nas.store import Store

from .figures import Figure, Settings
from .toy_searches import Copied, Ended, ToySearch, ToyTable, controllers, quick_folder, rows, state_of

WORKERS = 3
STATE, TOLD = 4, 9
"""Columns of a trial's row: its state, and its place in the order of telling."""
MOST_FAULTS = 20
CUTS = 200
"""Cuts of each search by hand."""
Trying = Callable[[ToySearch, int, Path, random.Random], tuple[int, list[str]]]
"""A function that tries cuts of a search: it gives the number of cuts, and what differed, a line each."""


def measure(settings: Settings) -> list[Figure]:
    """Equality for one worker, for several, and for a search that is extended, over all controllers."""
    trials = 60 if settings.full else 16
    names = controllers()
    alone = [ToySearch(name, trials=trials) for name in names]
    table = [ToySearch(name, ToyTable(), trials) for name in names]
    together = [ToySearch(name, trials=trials, workers=WORKERS) for name in names]
    equal = "rows and controller equal, bit for bit"
    kinds: list[tuple[str, str, Trying, list[ToySearch], int]] = [
        ("one worker", equal, one_worker, alone, 8),
        ("one worker, look-ups in a table", equal, one_worker, table, 4),
        ("one worker, extended", equal, extended, alone, 4),
        (f"{WORKERS} workers", "acknowledged results kept, recorded order replayed", several_workers, together, 4),
    ]
    return [
        _figure(
            f"{len(names)} controllers, rungs and duplicates, {what}",
            target,
            _tried(trying, searches, CUTS if settings.full else cuts, settings),
        )
        for what, target, trying, searches, cuts in kinds
    ]


def _tried(trying: Trying, searches: Sequence[ToySearch], cuts: int, settings: Settings) -> tuple[int, list[str]]:
    """The number of cuts of several searches, and what differed."""
    number, faults, rng = 0, [], random.Random(settings.seed)
    for search in searches:
        with tempfile.TemporaryDirectory(dir=quick_folder(settings.folder)) as folder:
            tried, found = trying(search, cuts, Path(folder), rng)
        number += tried
        faults += found
    return number, faults


def _figure(name: str, target: str, tried: tuple[int, list[str]]) -> Figure:
    number, faults = tried
    return Figure(
        name, f"{target}: 0 differences", f"{len(faults)} in {number:,} cuts", not faults, tuple(faults[:MOST_FAULTS])
    )


def one_worker(search: ToySearch, cuts: int, folder: Path, rng: random.Random) -> tuple[int, list[str]]:
    """Compares searches that are resumed from cuts with the unbroken one.

    Args:
        search: A search with one worker.
        cuts: Maximum number of cuts, drawn among all writes.
        folder: Folder for the stores.
        rng: Source of the draw.

    Returns:
        Number of cuts that were tried, and what differed, a line each.
    """
    copies, ended = _unbroken(search, folder)
    expected = rows(folder / "unbroken.sqlite")
    chosen = _drawn(copies, cuts, rng)
    faults = []
    for place, copy in chosen:
        path = _cut(copy, folder)
        with Store.open(path) as store:
            resumed = search.run(store)
        same = {"rows": rows(path) == expected, "end": resumed == ended}
        what = [name for name, equal in same.items() if not equal]
        if what:
            faults.append(f"{_named(search)}, cut after write {place}: other {' and '.join(what)}")
    return len(chosen), faults


def several_workers(search: ToySearch, cuts: int, folder: Path, rng: random.Random) -> tuple[int, list[str]]:
    """Checks searches that are resumed from cuts, whose candidates then end in another order.

    What was acknowledged before the cut is unchanged, in the same order; the search has all its candidates; and a
    controller that is told the recorded order is the one that the search ended with.

    Args and Returns: As `one_worker`, for a search with several workers.
    """
    copies, _ = _unbroken(search, folder)
    chosen = _drawn(copies, cuts, rng)
    faults = []
    for place, copy in chosen:
        path = _cut(copy, folder)
        before = rows(path)["trials"]
        with Store.open(path) as store:
            ended = search.run(store, order=rng.randrange(10**6))
            finished = num_candidates(store.trials())
        after = rows(path)["trials"]
        kept = [row for row in before if row[STATE] != "pending"]
        checks = {
            "results": kept == [after[row[0]] for row in kept],
            "order": _told(after)[: len(_told(before))] == _told(before),
            "number of candidates": finished == search.trials or ended.end == "exhausted",
            "pending trials": all(row[STATE] != "pending" for row in after),
            "controller": _replayed(search, path) == ended.controller,
        }
        what = [name for name, same in checks.items() if not same]
        if what:
            faults.append(f"{_named(search)}, {search.workers} workers, cut after write {place}: {', '.join(what)}")
    return len(chosen), faults


def extended(search: ToySearch, cuts: int, folder: Path, rng: random.Random) -> tuple[int, list[str]]:
    """Compares searches of half the candidates, cut, resumed to their end and then extended, with the whole one.

    Args and Returns: As `one_worker`.
    """
    _, ended = _unbroken(search, folder)
    expected = rows(folder / "unbroken.sqlite")
    half = replace(search, trials=search.trials // 2)
    (folder / "half").mkdir()
    copies, _ = _unbroken(half, folder / "half")
    chosen = _drawn(copies, cuts, rng)
    faults = []
    for place, copy in chosen:
        path = _cut(copy, folder)
        for part in (half, search):
            with Store.open(path) as store:
                resumed = part.run(store)
        if rows(path) != expected or resumed != ended:
            faults.append(f"{_named(search)}, cut after write {place} and extended: it differs")
    return len(chosen), faults


def _unbroken(search: ToySearch, folder: Path) -> tuple[list[bytes], Ended]:
    """The copies of an unbroken search's store after each write, and its end."""
    with Store.create(folder / "unbroken.sqlite", {}) as store:
        copied = Copied(store)
        return copied.copies, search.run(copied)


def _drawn(copies: Sequence[bytes], cuts: int, rng: random.Random) -> list[tuple[int, bytes]]:
    """So many of the copies, or all, each with its number; in order."""
    return sorted(rng.sample(list(enumerate(copies)), min(cuts, len(copies))))


def _cut(copy: bytes, folder: Path) -> Path:
    """The store of a search that ended after a write."""
    path = folder / "cut.sqlite"
    path.write_bytes(copy)
    return path


def _replayed(search: ToySearch, path: Path) -> dict[str, Any]:
    controller = search.fresh()
    with Store.open(path, readonly=True) as store:
        store.replay(controller)
    return state_of(controller)


def _told(rows_of_trials: Sequence[tuple[Any, ...]]) -> list[int]:
    """Numbers of the trials of which the controller was told, in that order."""
    told = [row for row in rows_of_trials if row[TOLD] is not None]
    return [row[0] for row in sorted(told, key=lambda row: int(row[TOLD]))]


def _named(search: ToySearch) -> str:
    return f"{search.controller} with {type(search.evaluator).__name__}"
