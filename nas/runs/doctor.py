"""Check of a run's files, with what to do about each finding, and a repaired copy of a damaged run."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..analysis.final_result import TABLE, FinalResult
from ..analysis.mixed_protocols import mixed_scores
from ..analysis.protocol_check import MEASURED
from ..errors import NasError, RunError, StoreError
from ..failures import attempt
from ..store.file_system import network_note
from ..store.lock import in_use, lock_path, owner_of
from ..store.salvage import Salvaged, salvage, write
from ..store.schema import SCHEMA
from ..store.sqlite_store import Store
from . import resume_checks
from .extending import ENDED
from .folder import FINAL, RUNNING, RunFolder, new_run

META = "meta"
"""Key of the record of a store with its run's config, without which nothing can be continued."""
MOST_NAMED = 5
"""Trials or records that a finding names."""


@dataclass(frozen=True)
class Finding:
    """A finding of the check of a run.

    Attributes:
        part: What it is of: 'store', 'control', 'protocol', 'files', 'weights', 'lock' or 'file system'.
        fault: Whether something is wrong; False for what is only worth to know.
        text: What was found, and what to do.
    """

    part: str
    fault: bool
    text: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def findings(run: RunFolder) -> list[Finding]:
    """What is found in the files of a run, the random-search control's included. Nothing is changed."""
    found = [*_lock(run), *_file_system(run), *_store(run, "store")]
    if run.control.store_path.exists():
        found += _store(run.control, "control")
    readable = not any(each.fault for each in found if each.part in ("store", "control"))
    return [*found, *(_content(run) if readable else ()), *_weights(run)]


def repair(run: RunFolder, name: str) -> tuple[RunFolder, list[str]]:
    """Writes a repaired copy of a run as a new run. The run itself stays as it is.

    The copy has the trials before the first that is lost, and all records that can be read. What is not in it, `nas
    resume` computes again.

    Args:
        run: The run.
        name: Name of the new run.

    Returns:
        The new run, and a line on each thing that the copy does not have.

    Raises:
        RunError: The name is taken, or another process writes the run.
        StoreError: Too little of the run can be read, or the copy cannot be written.
    """
    copy = new_run(name, name)
    if in_use(run.store_path):
        owner = owner_of(run.store_path) or "another process"
        raise RunError(f"run {run.name!r} is in use by {owner}; wait for it to end, or stop it")
    draft = RunFolder(copy.name, copy.folder.with_name(f".{copy.name}-{uuid.uuid4().hex[:12]}"))
    try:
        draft.folder.mkdir(parents=True)
        notes = [*_repair_store(run, draft), *_copy_weights(run, draft)]
        with suppress(OSError):
            copy.folder.rmdir()
        draft.folder.rename(copy.folder)
    except OSError as error:
        raise StoreError(f"{copy.folder} cannot be written: {error.strerror}; check the disk's free space") from error
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)
    return copy, notes


def _lock(run: RunFolder) -> Iterator[Finding]:
    owner = owner_of(run.store_path)
    if in_use(run.store_path):
        yield Finding("lock", False, f"the run is being written by {owner or 'another process'}; look again at its end")
    elif owner is not None:
        yield Finding("lock", False, f"{owner} ended without closing the run; `nas resume {run.name}` continues it")


def _file_system(run: RunFolder) -> Iterator[Finding]:
    note = network_note(run.store_path)
    if note is not None:
        yield Finding("file system", False, note)


def _store(run: RunFolder, part: str) -> Iterator[Finding]:
    try:
        read = salvage(run.store_path)
    except NasError as error:
        yield Finding(part, True, str(error))
        return
    remedy = f"have a repaired copy written: nas doctor {run.name.partition('/')[0]} --repair COPY"
    if read.version != SCHEMA:
        text = f"it has schema version {read.version}; `nas resume` migrates it to {SCHEMA}, on a backup"
        yield Finding(part, False, text)
    for problem in read.problems or (() if read.readable else ("a table ends early",)):
        yield Finding(part, True, f"the file's structure is damaged ({problem}); {remedy}")
    if read.lost:
        yield Finding(part, True, f"{_numbers(read.lost)} cannot be read; {remedy}")
    if META in read.lost_records or META not in read.records:
        yield Finding(part, True, "the run's config cannot be read; put back a copy of the file, or start a new run")
    others = [key for key in read.lost_records if key != META]
    if others:
        yield Finding(part, True, f"{_keys(others)} cannot be read; {remedy}")


def _content(run: RunFolder) -> Iterator[Finding]:
    """Findings on what a store without damage holds: versions, protocols, and the user's files."""
    try:
        for each in (run, run.control):
            if each.store_path.exists():
                with Store.open(each.store_path, readonly=True) as store:
                    mixed = mixed_scores(store.trials(), store.items(MEASURED))
                yield from (Finding("protocol", True, f"{entry.text()}; start a new run") for entry in mixed)
    except NasError as error:
        yield Finding("store", True, str(error))
        return
    try:
        with Store.open(run.store_path, readonly=True) as store:
            resume_checks.check_files(store)
    except NasError as error:
        yield Finding("files", True, str(error))


def _weights(run: RunFolder) -> Iterator[Finding]:
    damaged, winners = _damaged_weights(run), _winners_weights(run)
    for path in damaged:
        if path != winners:
            yield Finding("weights", True, f"{path.name} is damaged; remove it: where it is needed it is trained again")
    if winners is not None and (winners in damaged or not winners.exists()):
        yield Finding(
            "weights",
            True,
            f"{winners.name}, the winner's, is {'damaged' if winners in damaged else 'missing'}, and `nas export` "
            f"needs it; have it trained again in a copy: nas doctor {run.name} --repair COPY, then nas resume COPY",
        )


def _damaged_weights(run: RunFolder) -> list[Path]:
    """The files of weights that cannot be read. Each is opened, which compares its size with what its header says."""
    from safetensors import SafetensorError, safe_open

    damaged = []
    for path in sorted((run.folder / "weights").glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (OSError, SafetensorError):
            damaged.append(path)
    return damaged


def _winners_weights(run: RunFolder, read: Salvaged | None = None) -> Path | None:
    """File of the winner's weights; None where there is no winner that was trained, or the store cannot be read."""
    try:
        value = (read or salvage(run.store_path)).value(FINAL)
    except NasError:
        return None
    final = None if value is None else attempt(FinalResult.from_json, value).value  # It may be of another version.
    if final is None or final.kind == TABLE or final.winner is None or final.winner.weights_seed is None:
        return None
    return run.weights(final.winner.architecture, final.winner.weights_seed)


def _repair_store(run: RunFolder, draft: RunFolder) -> list[str]:
    read = salvage(run.store_path)
    if META not in read.records:
        raise StoreError(
            f"{run.store_path} cannot be repaired, since its run's config cannot be read; put back a copy of the file, "
            "or start a new run"
        )
    control = salvage(run.control.store_path) if run.control.store_path.exists() else None
    weights = _winners_weights(run, read)
    bad = weights is not None and (not weights.exists() or weights in _damaged_weights(run))
    again = [key for key in read.records if key.startswith(MEASURED) and bad and _is_of(key, weights)]
    whole = not bad and read.complete and (control is None or control.complete)
    # A result of more than is left in the copy is withdrawn, and so is the end of a search that lost trials.
    withdrawn = set() if whole else {FINAL, RUNNING, "state", *again, *([] if read.complete else [ENDED])}
    write(read.usable.without(withdrawn), draft.store_path)
    lock_path(draft.store_path).unlink(missing_ok=True)
    notes = _missing(read, "")
    if control is not None and META in control.records:
        draft.control.folder.mkdir()
        write(control.usable if whole else control.usable.without({RUNNING}), draft.control.store_path)
        notes += _missing(control, "the control's ")
    if FINAL in withdrawn and FINAL in read.records:
        notes.append("the final result, which is made again")
    return notes


def _missing(read: Salvaged, whose: str) -> list[str]:
    after = len(read.trials) - len(read.usable.trials)
    notes = [f"{whose}{_numbers(read.lost)}"] if read.lost else []
    notes += [f"{whose}{after} later trials, which follow from a lost one"] if after else []
    notes += [f"{whose}{_keys(read.lost_records)}"] if read.lost_records else []
    return notes if read.readable else [*notes, f"{whose}whatever else could not be read"]


def _copy_weights(run: RunFolder, draft: RunFolder) -> list[str]:
    """Copies the weights and checkpoints that can be read. Links are left out: they may lead out of the folder."""
    damaged = _damaged_weights(run)
    for folder in ("weights", "checkpoints"):
        for path in sorted((run.folder / folder).glob("*.safetensors")):
            if path.is_file() and not path.is_symlink() and path not in damaged:
                (draft.folder / folder).mkdir(exist_ok=True)
                shutil.copy2(path, draft.folder / folder / path.name)
    return [path.name for path in damaged]


def _is_of(key: str, weights: Path | None) -> bool:
    """Whether a record is a measurement with the weights of a file."""
    *_, architecture, seed = key.split("/")
    return weights is not None and weights.name == f"{architecture}-seed{seed}.safetensors"


def _numbers(numbers: tuple[int, ...]) -> str:
    more = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return f"{'trial' if len(numbers) == 1 else 'trials'} {', '.join(map(str, numbers[:MOST_NAMED]))}{more}"


def _keys(keys: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
    return f"{'record' if len(keys) == 1 else 'records'} {', '.join(map(repr, keys[:MOST_NAMED]))}{more}"
