"""Two processes that continue the same run at the same time: one does, the other is refused."""

from __future__ import annotations

import os
import select
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from nas.config.schema import Config
from nas.errors import RunError
from nas.runs import launch
from nas.runs.folder import RunFolder, run_of
from nas.runs.progress import Silence
from nas.trial import Trial

from . import broken_runs
from .figures import Figure, Settings
from .tracing import Ended, fork

RACES, FULL_RACES = 100, 1000
WAIT_S = 60.0
"""Seconds after which neither of two processes has been refused."""
NAME = "two processes that continue a run at once"


def measure(settings: Settings) -> list[Figure]:
    """Races, and in how many exactly one process went on and the run is the unbroken one."""
    return races(settings, FULL_RACES if settings.full else RACES)


def races(settings: Settings, count: int) -> list[Figure]:
    """As `measure`, with the number of races."""
    config = broken_runs.table_config(settings.folder)
    half, whole = settings.folder / "half", settings.folder / "whole"
    with mock.patch.object(launch, "write_report"):
        broken_runs.carry_on(config, whole, lambda _line: None)
        _interrupted(config, half)
        expected, faults, right = broken_runs.content(whole), [], 0
        for number in range(count):
            folder = settings.folder / "race"
            shutil.copytree(half, folder)
            found = _race(folder)
            if not found:
                broken_runs.carry_on(config, folder, lambda _line: None)
                if broken_runs.content(folder) != expected:
                    found = ["the run differs from the unbroken one"]
            faults += [f"race {number}: {fault}" for fault in found]
            right += not found
            shutil.rmtree(folder)
    target = f"in {count:,} races one goes on, the other is refused in one line, nothing is doubled"
    return [Figure(NAME, target, f"{right:,} of {count:,}", not faults, tuple(faults[:20]))]


class _Interrupting(Silence):
    """Ends the process's work after two trials."""

    def __init__(self) -> None:
        self._left = 2

    def trial(self, trial: Trial, best: Trial) -> None:
        self._left -= 1
        if self._left == 0:
            os._exit(0)


def _interrupted(config: Config, folder: Path) -> None:
    """Makes a run that ended after two trials without closing its store."""

    def body(_send: Callable[[bytes], None]) -> None:
        with broken_runs.here(folder):
            launch.start(config, run_of(broken_runs.NAME), _Interrupting())

    fork(body).ended()


class _Holding(Silence):
    """Keeps the first search waiting until a pipe is closed."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def started(self, run: RunFolder, config: Config, done: list[Trial], workers: int) -> None:
        os.read(self._pipe, 1)


def _race(folder: Path) -> list[str]:
    """Has two processes continue a run at once, and says what is wrong. The one that has it waits for the other."""
    begin, may_begin = os.pipe()
    end, may_end = os.pipe()

    def body(send: Callable[[bytes], None]) -> None:
        os.close(may_begin)
        os.close(may_end)
        os.read(begin, 1)
        with broken_runs.here(folder):
            try:
                launch.resume(run_of(broken_runs.NAME), _Holding(end))
                send(b"done")
            except RunError as error:
                send(f"refused: {error}".encode())

    both = [fork(body), fork(body)]
    os.close(may_begin)
    refused_in_time = bool(select.select([each.pipe for each in both], [], [], WAIT_S)[0])
    os.close(may_end)
    said = sorted(_said(each.ended()) for each in both)
    os.close(begin)
    os.close(end)
    if not refused_in_time:
        return [f"both went on: {said}"]
    right = said[0] == "done" and said[1].startswith("refused: ") and "in use" in said[1] and "\n" not in said[1]
    return [] if right else [f"they ended with {said}"]


def _said(ended: Ended) -> str:
    text = ended.said.decode(errors="replace")
    return text if ended.status == 0 else f"status {ended.status}: {text.strip().splitlines()[-1:]}"
