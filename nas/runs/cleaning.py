"""Weights in the folders of runs that no result needs any more."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import NasError
from ..failures import attempt
from ..store.sqlite_store import Store
from .folder import RunFolder, config_of, final_of

log = logging.getLogger(__name__)
NAME = re.compile(r"(?P<key>.+)-seed(?P<seed>[0-9]+)\.safetensors")


@dataclass(frozen=True)
class Unneeded:
    """Files of a run that no result needs.

    Attributes:
        run: The run.
        files: The files.
        size: Their bytes.
    """

    run: RunFolder
    files: tuple[Path, ...]
    size: int


def unneeded(runs: Iterable[RunFolder]) -> list[Unneeded]:
    """The unneeded weights of those runs that have some; see `_unneeded_of`. Runs that cannot be read are left out."""
    looked = (attempt(_look, run) for run in runs)
    return [each.value for each in looked if each.error is None and each.value.files]


def remove(found: Iterable[Unneeded], note: Callable[[str], None] = log.warning) -> list[Unneeded]:
    """Removes unneeded weights, and returns those that were.

    Args:
        found: Unneeded weights of runs.
        note: Receiver of a line on each run that is left as it is, since another process has it or it is read-only.
    """
    removed = []
    for each in found:
        try:
            store = Store.open(each.run.store_path)
        except NasError as error:
            note(f"{each.run.name} is left as it is: {error}")
            continue
        with store:
            now = _unneeded_of(each.run, store)
            for path in now.files:
                path.unlink(missing_ok=True)
        removed.append(now)
    return removed


def _look(run: RunFolder) -> Unneeded:
    with Store.open(run.store_path, readonly=True) as store:
        return _unneeded_of(run, store)


def _unneeded_of(run: RunFolder, store: Store) -> Unneeded:
    """The weights of a run that no result needs.

    Only a run with a final result has such: its measurements are made. Kept are the weights that an export reads (the
    winner's best training, and the first of each candidate, for `nas export --point`) and those of the baseline
    network. The others served finalists, the median candidate, the control and the attribution. Should the run be
    extended, a network that needs them again is trained anew with the same seed.
    """
    final = final_of(store)
    if final is None or (final.winner is not None and final.winner.weights_seed is None):
        return Unneeded(run, (), 0)
    first = config_of(store).search.seed + 1
    kept = {(trial.architecture.key, first) for trial in store.trials()}
    if final.winner is not None:
        kept.add((final.winner.architecture.key, final.winner.weights_seed or 0))
    baseline = None if final.baseline is None else final.baseline.architecture.key
    files = []
    for path in sorted((run.folder / "weights").glob("*.safetensors")):
        name = NAME.fullmatch(path.name)
        if name and name["key"] != baseline and (name["key"], int(name["seed"])) not in kept and not path.is_symlink():
            files.append(path)
    return Unneeded(run, tuple(files), sum(path.stat().st_size for path in files))
