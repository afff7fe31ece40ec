"""Runs on a full disk: on a small file system in memory, and under a limit of the size of files."""

from __future__ import annotations

import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from nas.config.schema import Config
from nas.errors import NasError
from nas.runs import launch
from nas.runs.folder import RunFolder, new_run, run_of
from nas.runs.progress import Progress, Silence
from nas.trial import Trial

from ..command_line import show_progress
from . import broken_runs
from .figures import Figure, Settings
from .tracing import fork

DISK_BYTES = 2**20
BLOCK_BYTES = 4096
SHORT_WAIT_S = 0.2
"""Seconds for which a run waits for room, where none will be made."""
LONG_WAIT_S = 60.0
FREED_AFTER_S = 1.5
STEPS, FULL_STEPS = 5, 40
"""Amounts of room that are tried."""
ROOM_BYTES = 240_000
"""Room from which on a run is not hindered."""
LIMIT_BYTES = 16_000
"""Size of files that is permitted where there is no room: that of a store with a few trials."""
TRIALS = 12
BALLAST = "ballast"


def measure(settings: Settings) -> list[Figure]:
    """Runs under a limit of the size of files, on a full disk, and on one that is freed while they wait."""
    steps = FULL_STEPS if settings.full else STEPS
    return figures(settings, [(i + 1) * ROOM_BYTES // steps for i in range(steps)])


def figures(settings: Settings, rooms: Sequence[int]) -> list[Figure]:
    """As `measure`, with the bytes of room of each run."""
    config, whole = broken_runs.table_config(settings.folder, TRIALS), settings.folder / "whole"
    with mock.patch.object(launch, "write_report"):
        broken_runs.carry_on(config, whole, lambda _line: None)
        expected = broken_runs.content(whole)
        found = [
            _figure("a limit of the size of files", [_limited(settings, config, room, expected) for room in rooms])
        ]
        try:
            with _small_disk(settings.folder / "disk") as disk:
                full = [_on(disk, config, room, expected, freed=False) for room in rooms]
                freed = [_on(disk, config, room, expected, freed=True) for room in rooms]
        except OSError as error:
            show_progress(f"a full disk is not tried, since none can be mounted here: {error}")
            return found
    waited = _figure("a full disk that is freed while the run waits", freed)
    return [*found, _figure("a full disk", full), waited]


def _figure(name: str, results: list[tuple[str, list[str]]]) -> Figure:
    faults = [fault for _, each in results for fault in each]
    ends = [end for end, _ in results]
    counted = ", ".join(f"{ends.count(end)} {end}" for end in sorted(set(ends)))
    target = "each run stops in words or waits, and continued is the unbroken one"
    return Figure(name, target, f"{len(results)} runs: {counted}; {len(faults)} faults", not faults, tuple(faults[:20]))


class _Limit(Silence):
    """Limits the size of files once a search begins: the index of SQLite's log, made before, is larger than a store."""

    def __init__(self, size: int) -> None:
        self._size = size

    def started(self, run: RunFolder, config: Config, done: list[Trial], workers: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _limited(settings: Settings, config: Config, room: int, expected: broken_runs.Content) -> tuple[str, list[str]]:
    """A run in which the size of files is limited, the more so the less `room`, continued without the limit."""
    folder = settings.folder / f"limited{room}"

    end = _attempt(folder, config, SHORT_WAIT_S, _Limit(LIMIT_BYTES + room // 20))
    return end, _continued(folder, config, end, expected)


def _on(disk: Path, config: Config, room: int, expected: broken_runs.Content, *, freed: bool) -> tuple[str, list[str]]:
    """A run on a disk with so many bytes of room, continued once there is more."""
    folder, ballast = disk / "runs", disk / BALLAST
    folder.mkdir()
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(bytes(max(0, free - room) // BLOCK_BYTES * BLOCK_BYTES))
    timer = threading.Timer(FREED_AFTER_S, ballast.unlink)
    if freed:
        timer.start()
    end = _attempt(folder, config, LONG_WAIT_S if freed else SHORT_WAIT_S, Silence())
    if freed:
        timer.join()
    else:
        ballast.unlink()
    faults = _continued(folder, config, end, expected)
    if freed and end == "interrupted":
        faults.append(f"{room} bytes: the run stopped although there was room again")
    shutil.rmtree(folder)
    return end, faults


def _attempt(folder: Path, config: Config, wait_s: float, progress: Progress) -> str:
    """How a run in another process ends: 'done', 'interrupted', 'refused' in words, or its error."""

    def body(send: Callable[[bytes], None]) -> None:
        with broken_runs.here(folder), mock.patch.object(launch, "WAIT_S", wait_s):
            try:
                run = new_run(broken_runs.NAME, broken_runs.NAME)
                send(launch.start(config, run, progress).state.encode())
            except NasError as error:
                send(b"refused" if str(error) else b"an error without words")

    ended = fork(body).ended()
    text = ended.said.decode(errors="replace")
    return text if ended.status == 0 else f"status {ended.status}, {(text.strip().splitlines() or [''])[-1]}"


def _continued(folder: Path, config: Config, end: str, expected: broken_runs.Content) -> list[str]:
    """What is wrong with a run that ended in a way, continued where there is room."""
    faults = [] if end in ("done", "interrupted", "refused") else [f"it ended with {end}"]
    try:
        with broken_runs.here(folder):
            begun = run_of(broken_runs.NAME).store_path.exists()
        if end == "interrupted" and not begun:
            faults.append("it is interrupted, and there is no run")
        broken_runs.carry_on(config, folder, lambda _line: None)
        if broken_runs.content(folder) != expected:
            faults.append(f"{folder.name}, {end}: the continued run differs from the unbroken one")
    except NasError as error:
        faults.append(f"{folder.name}, {end}: it cannot be continued: {error}")
    return faults


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A file system in memory of DISK_BYTES. Raises OSError where mounting is not permitted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise OSError(f"mounting is not permitted ({mounted.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
