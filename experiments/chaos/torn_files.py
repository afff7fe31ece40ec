"""Stores with files cut or bits flipped: recovered or refused in words, never fewer trials in silence."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import NasError
from nas.failures import attempt, reason
from nas.runs.doctor import findings, repair
from nas.runs.folder import STORE, run_of
from nas.store.sqlite_store import Store
from nas.trial import Trial

from . import broken_runs, toy_search
from .crash_clones import JOURNAL, LOG, journal
from .crashed_disk import Disk, Operation, recorded
from .figures import Figure, Settings
from .toy_search import State
from .tracing import why_not

TAIL_BYTES, FULL_TAIL_BYTES = 400, 10**9
"""Bytes of each file's end at each of which it is cut; before these it is cut at the ends of sectors."""
FLIPS, FULL_FLIPS = 300, 20_000
EXAMINED = 10
"""One refused store in so many is given to `nas doctor`."""
SECTOR_BYTES = 512
RUN = "torn"


@dataclass(frozen=True)
class Original:
    """The files of a store before they are damaged.

    Attributes:
        name: What it is, for people.
        files: Their contents by name.
        right: States that a store with damaged files may have: with its last transaction, and where a log or journal
            is there that was not yet copied or removed, without it.
    """

    name: str
    files: Mapping[str, bytes]
    right: Sequence[State]


def measure(settings: Settings) -> list[Figure]:
    """Damage to a closed store, to one with a write-ahead log, and to one with a journal."""
    tail, flips = (FULL_TAIL_BYTES, FULL_FLIPS) if settings.full else (TAIL_BYTES, FLIPS)
    return figures(settings, tail, flips)


def figures(settings: Settings, tail: int, flips: int) -> list[Figure]:
    """As `measure`, with the bytes of the tail and the number of flipped bits of each file."""
    found, draw = [], random.Random(settings.seed)
    for original in _originals(settings.folder):
        for name, data in original.files.items():
            cuts = [data[:size] for size in range(len(data)) if size >= len(data) - tail or size % SECTOR_BYTES == 0]
            flipped = [_flipped(data, draw) for _ in range(flips)]
            found.append(_figure(f"{original.name}, {name} cut", settings.folder, original, name, cuts))
            found.append(_figure(f"{original.name}, a bit of {name} flipped", settings.folder, original, name, flipped))
    return found


def _originals(folder: Path) -> Iterator[Original]:
    path = folder / "closed" / STORE
    toy_search.carry_on(path)
    whole = toy_search.state(path)
    yield Original("a closed store", {STORE: path.read_bytes()}, [whole])
    for mode, suffix in () if why_not() else ((LOG, "-wal"), (JOURNAL, "-journal")):
        root = folder / mode[0]
        root.mkdir()
        with journal(mode):
            operations, _ = recorded(lambda send, root=root: toy_search.carry_on(root / STORE), root)  # type: ignore[misc]
        files = _with_second_file(operations, root / f"{STORE}{suffix}")
        states = []
        for kept in (files, {STORE: files[STORE]}) if mode == LOG else (files,):
            states.append(_opened(folder / "state", kept))
        if mode == JOURNAL:  # With its journal cut, the last transaction may stand.
            states.append(whole)
        yield Original(f"a store with a {mode}", files, states)


def _with_second_file(operations: Sequence[Operation], second: Path) -> dict[str, bytes]:
    """The files when the second one is needed: its log was just synchronised, or its journal is not yet removed."""
    kind = "sync" if second.name.endswith("-wal") else "unlink"
    last = max(i for i, each in enumerate(operations) if (each.kind, each.path) == (kind, str(second)))
    disk = Disk()
    for operation in operations[: last + 1 if kind == "sync" else last]:
        disk.apply(operation)
    files = disk.crashed(random.Random(0), 2.0)
    return {
        Path(path).name: data
        for path, data in files.items()
        if path in (str(second), str(second.parent / STORE)) and data
    }


def _flipped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _opened(folder: Path, files: Mapping[str, bytes]) -> State:
    """The state of a store of these files. Raises NasError where it is refused."""
    _write(folder, files)
    with Store.open(folder / STORE) as store:
        return store.trials(), store.told()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _figure(title: str, folder: Path, original: Original, name: str, damaged: Sequence[bytes]) -> Figure:
    whole = refused = examined = 0
    faults: list[str] = []
    for number, data in enumerate(damaged):
        files = {**original.files, name: data}
        opened = attempt(_opened, folder / "damaged", files)
        if isinstance(opened.error, NasError):
            refused += 1
            if refused % EXAMINED == 1:
                examined += 1
                faults += [f"case {number}: {fault}" for fault in _examined(folder, files, original)]
            continue
        if opened.error is not None:
            faults.append(f"case {number}: {reason(opened.error)}")
            continue
        state = opened.value
        whole += state in original.right
        if state not in original.right:
            faults.append(f"case {number} ({len(data)} bytes): {len(state[0])} trials are read in silence")
    measured = f"{len(damaged):,}: {whole:,} recovered, {refused:,} refused, {examined:,} of these examined; "
    measured += f"{len(faults)} faults"
    return Figure(title, "all recovered or refused in words; copies open", measured, not faults, tuple(faults[:20]))


def _examined(folder: Path, files: Mapping[str, bytes], original: Original) -> list[str]:
    """What is wrong with what `nas doctor` says of a refused store, and with the copy that it writes."""
    runs = folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    with broken_runs.here(runs):
        outcome = attempt(_repaired, files)
    if isinstance(outcome.error, NasError):
        return [] if str(outcome.error) else ["an error without words"]
    if outcome.error is not None:
        return [f"nas doctor ends with {reason(outcome.error)}"]
    kept = outcome.value
    if kept is None:
        return ["nas doctor finds no fault in a refused store"]
    # Of a trial that follows from a lost one nothing is kept, so the copy begins as the store did.
    right = any(_begins(trials, kept) for trials, _ in original.right)
    return [] if right else [f"the copy of nas doctor has {len(kept)} trials that are not those of the store"]


def _repaired(files: Mapping[str, bytes]) -> list[Trial] | None:
    """The trials of the copy that `nas doctor` writes of a damaged run; None where it finds no fault."""
    run = run_of(RUN)
    _write(run.folder, files)
    if not any(each.fault for each in findings(run)):
        return None
    _write(run.folder, files)
    copy, _ = repair(run, "copy")
    with Store.open(copy.store_path) as store:
        return store.trials()


def _begins(trials: Sequence[object], kept: Sequence[object]) -> bool:
    return list(trials[: len(kept)]) == list(kept)
