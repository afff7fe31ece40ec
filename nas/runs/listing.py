"""List of the runs in the folder of runs, with what is wrong with those that cannot be read."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..analysis.run_row import UNREADABLE, RunRow
from ..errors import NasError
from ..failures import attempt
from ..locations import runs_folder
from ..registry import user_files
from ..store.lock import lock_path
from ..store.overview import overview
from .folder import RunFolder
from .summary import state_of


def run_rows(now: float | None = None) -> list[RunRow]:
    """The runs, the one last written first.

    Args:
        now: Seconds since the epoch; None for the present time.

    Raises:
        OSError: The folder of runs cannot be read.
    """
    folder, now = runs_folder(), time.time() if now is None else now
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    runs = [RunFolder(name, folder / name) for name in names]
    rows = [_row(run, now) for run in runs if run.store_path.exists() or _begun(run).exists()]
    return sorted(rows, key=lambda row: (row.age_s, row.name))


def _row(run: RunFolder, now: float) -> RunRow:
    size = _size(run.folder)
    if not run.store_path.exists():
        age = max(0.0, now - _begun(run).stat().st_mtime)
        problem = f"its start was broken off; the next `nas search --name {run.name}` takes its place"
        return RunRow(run.name, UNREADABLE, age, size, problem=problem)
    age = max(0.0, now - run.store_path.stat().st_mtime)  # The clock may have been set back.
    # A record of another version may have any shape.
    read = attempt(_read, run, age, size)
    if read.error is None:
        return read.value
    problem = str(read.error) if isinstance(read.error, NasError) else f"of another version: {read.error!r}"
    return RunRow(run.name, UNREADABLE, age, size, problem=problem)


def _read(run: RunFolder, age_s: float, size: int) -> RunRow:
    seen = overview(run.store_path, "meta", "state")
    config, state = seen.records["meta"]["config"], seen.records.get("state")
    _, best, stderr = seen.best or (None, None, None)
    return RunRow(
        run.name,
        state_of(state, run),
        age_s,
        size,
        space=user_files.shortened(str(config["space"]["name"])),
        tasks=user_files.shortened(str((config.get("tasks") or config["evaluator"])["name"])),
        best=best,
        best_stderr=stderr,
        done=seen.candidates,
        wanted=int(config["search"]["trials"]),
        problem=_problem(state, seen.trials),
    )


def _problem(state: Mapping[str, Any] | None, trials: int) -> str | None:
    if state is not None and state.get("state") == "failed":
        return str(state.get("reason", ""))
    return None if trials else "no trials yet"


def _begun(run: RunFolder) -> Path:
    """The lock that is made before the store."""
    return lock_path(run.store_path)


def _size(folder: Path) -> int:
    """Bytes of the files below a folder. Files that vanish meanwhile count as nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total
