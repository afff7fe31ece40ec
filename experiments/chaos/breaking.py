"""Work that is begun, killed with kill -9, continued, and compared with the unbroken work."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from .tracing import Call, Ended, follow, fork

RANDOM = 4
"""One kill in so many is at a random time in place of a system call."""
TWICE = 3
"""In one case in so many the continuation is killed too."""


@dataclass(frozen=True)
class Work:
    """Something that is begun, killed, and continued.

    Attributes:
        carry_on: Begins it in a folder, or continues it, to its end. Each line that it sends acknowledges something.
        content: What it has left in a folder.
        lost: What is wrong in a folder after a kill, from the acknowledged lines and the content of the unbroken work.
        leftovers: Names of temporary files in a folder, which are no part of the content.
    """

    carry_on: Callable[[Path, Callable[[bytes], None]], None]
    content: Callable[[Path], Any]
    lost: Callable[[Path, list[str], Any], list[str]]
    leftovers: Callable[[Path], list[str]] = lambda _folder: []


@dataclass
class Tally:
    """Kills that were made, and what they led to.

    Attributes:
        at_calls: Kills before a system call that writes.
        at_random: Kills at a random time.
        lost: A line for each trial that was lost or doubled.
        unequal: A line for each continued work that differs from the unbroken one.
        leftovers: A line for each temporary file that is still there after the work was continued to its end.
    """

    at_calls: int = 0
    at_random: int = 0
    lost: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.at_calls + self.at_random


@dataclass(frozen=True)
class Unbroken:
    """Work that nothing broke.

    Attributes:
        content: What it has left.
        calls: Number of its system calls that write; 0 where they cannot be followed.
        seconds: How long it took.
    """

    content: Any
    calls: int
    seconds: float


def unbroken(work: Work, folder: Path, *, traced: bool) -> Unbroken:
    """Carries a work out in a folder.

    Raises:
        RuntimeError: It ended with an error.
    """
    folder.mkdir(parents=True)
    began = time.monotonic()
    ended = _kill(work, folder, None if traced else 1e9)
    if ended.status != 0:
        raise RuntimeError(f"the unbroken work ended with {_last(ended)}")
    return Unbroken(work.content(folder), ended.calls, time.monotonic() - began)


def attack(work: Work, whole: Unbroken, folder: Path, wanted: int, draw: random.Random) -> Tally:
    """Breaks a work again and again, each time from its beginning, at points spread over the whole of it.

    Args:
        work: The work.
        whole: The same, unbroken.
        folder: Where it is carried out; the folder is removed again.
        wanted: Number of kills.
        draw: Source of the points.
    """
    tally, case = Tally(), 0
    cases = max(1, round(wanted / (1 + 1 / TWICE)))
    while tally.kills < wanted and case < 3 * cases:
        share = (case % cases + draw.random()) / cases
        points = [share, draw.random()] if case % TWICE == 0 else [share]
        _break(work, whole, folder, points, tally, at_random=whole.calls == 0 or case % RANDOM == 0)
        shutil.rmtree(folder)
        case += 1
    return tally


def _break(
    work: Work, whole: Unbroken, folder: Path, points: Sequence[float], tally: Tally, *, at_random: bool
) -> None:
    """Breaks a work at points between its beginning, 0, and its end, 1, and then carries it on to its end."""
    folder.mkdir(parents=True)
    acknowledged: list[str] = []
    kind = "s" if at_random else "calls"
    for point in points:
        place = point * whole.seconds if at_random else int(point * whole.calls)
        ended = _kill(work, folder, place)
        acknowledged += _lines(ended)
        if ended.status > 0:
            tally.unequal.append(f"carried on after {place:g}: {_last(ended)}")
            return
        if ended.killed and at_random:
            tally.at_random += 1
        elif ended.killed:
            tally.at_calls += 1
        tally.lost += [
            f"killed after {place:g} {kind}: {fault}" for fault in work.lost(folder, acknowledged, whole.content)
        ]
    ended = _kill(work, folder, 1e9)
    if ended.status != 0:
        tally.unequal.append(f"broken at {[round(point, 3) for point in points]}: {_last(ended)}")
        return
    tally.leftovers += work.leftovers(folder)
    if (content := work.content(folder)) != whole.content:
        different = _different(content, whole.content)
        tally.unequal.append(f"broken at {[round(point, 3) for point in points]} ({kind}): {different}")


def _kill(work: Work, folder: Path, place: float | int | None) -> Ended:
    """Carries a work on, and kills it.

    Args:
        work: The work.
        folder: Its folder.
        place: Number of the system call before which it is killed, or the seconds after which it is; None to follow
            it to its end.
    """

    def body(send: Callable[[bytes], None]) -> None:
        work.carry_on(folder, send)

    if isinstance(place, float):
        forked = fork(body)
        timer = threading.Timer(min(place, 3600.0), forked.kill)
        timer.start()
        ended = forked.ended()
        timer.cancel()
        return ended
    calls = 0

    def before(_call: Call) -> bool:
        nonlocal calls
        calls += 1
        return place is not None and calls > place

    return follow(body, before)


def _lines(ended: Ended) -> list[str]:
    return [] if ended.status > 0 else [line.decode() for line in ended.said.split(b"\n")[:-1]]


def _different(found: Any, expected: Any) -> str:
    """The first thing that two contents do not have in common."""
    if is_dataclass(found):
        found, expected = vars(found), vars(expected)
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        keys = [key for key in {**expected, **found} if found.get(key) != expected.get(key)]
        return f"{keys[0]}: {_different(found.get(keys[0]), expected.get(keys[0]))}"
    return f"{str(found)[:300]} in place of {str(expected)[:300]}"


def _last(ended: Ended) -> str:
    """The last line that a process said: that of its error, where it raised one."""
    lines = ended.said.decode(errors="replace").strip().splitlines()
    return f"status {ended.status}: {lines[-1] if lines else ''}"
