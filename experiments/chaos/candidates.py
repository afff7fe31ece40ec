"""Misbehaving candidates: each fails by itself, and the next one's score is that of a new process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean

from nas.config import reading
from nas.config.parts import build
from nas.executors import ProcessExecutor
from nas.executors.limits import MemoryLimits
from nas.search import SearchOptions, search
from nas.space import sample
from nas.store.memory_store import MemoryStore
from nas.trial import Trial

from .figures import Figure, Settings
from .misbehaving import (
    DEADLINE_S,
    ENDLESS,
    HONEST,
    KINDS,
    MEMORY_GB,
    SHORT_S,
    SLEEP,
    Candidates,
    Clocked,
    InTurns,
    Misbehaving,
    kind_of,
)

MARK = "ADAPTNAS_CHAOS"
"""Environment variable by which the processes of the experiment are found, whatever became of their parents."""
LEFT_S = 2.0
"""Seconds within which nothing may be left of what has ended."""
SHOWN = 20
IN_MASTER = 6
"""Processes of a search with two workers: their supervisors, themselves, and what their candidates started."""
MASTER = """
import sys
from nas.executors import ProcessExecutor
from nas.experiments.chaos import misbehaving
executor = ProcessExecutor(2, environments=[{sys.argv[1]: sys.argv[2]}] * 2)
[future.result() for future in [executor.submit(misbehaving.leave_and_sleep) for _ in range(2)]]
"""


def measure(settings: Settings) -> list[Figure]:
    """Figures of misbehaving candidates, of a killed master, of replaced workers and of the cost."""
    count = 100 if settings.full else 5
    return [
        *_misbehaviour(count),
        _killed_masters(30 if settings.full else 3),
        *_replacement(100 if settings.full else 10),
    ]


def _misbehaviour(count: int) -> list[Figure]:
    """All kinds of candidates in one search with one worker, whose processes and descriptors are counted after each."""
    mark, left, grown = f"candidates-{os.getpid()}", list[str](), list[str]()
    with ProcessExecutor(1) as fresh:
        expected = fresh.submit(Misbehaving().evaluate, InTurns(0).ask(1)[0], 1, 0).result().value
    store, descriptors = MemoryStore(), list[int]()

    def look(trial: Trial) -> None:
        if kind_of(trial.architecture) != HONEST:
            return
        descriptors.append(len(os.listdir("/proc/self/fd")))
        if descriptors[-1] > descriptors[0]:
            grown.append(f"#{trial.number}: {descriptors[-1]} descriptors, {descriptors[0]} at first")
        extra = [name for name in _marked(mark).values() if name.startswith(SLEEP[0])]
        zombies = _zombies()
        if extra or zombies:
            left.append(f"#{trial.number}: {[*extra, *zombies]}")

    trials = 1 + 2 * count * len(KINDS)
    limits = MemoryLimits(MEMORY_GB)
    with ProcessExecutor(1, environments=[{MARK: mark}], limits=limits) as executor:

        def hurry(trial: Trial) -> None:
            endless = kind_of(trial.architecture) in ENDLESS
            executor.deadline_s = SHORT_S if endless else DEADLINE_S

        options = SearchOptions(
            trials=trials,
            budget=1,
            seed=0,
            workers=1,
            on_start=hurry,
            on_trial=look,
            max_failures_in_a_row=10,
            duplicates="evaluated",
        )
        search(Candidates(), InTurns(count), Misbehaving(), store, executor, options)
    left += [f"after the search: {name}" for name in _gone(lambda: _marked(mark))]
    wrong, changed = list[str](), list[str]()
    for trial in store.trials():
        kind = kind_of(trial.architecture)
        if kind == HONEST:
            if trial.score is None or trial.score.value != expected:
                changed.append(f"#{trial.number} after {_before(store, trial)!r}: {trial.score} {trial.error}")
        elif not _as_expected(trial, KINDS[kind][1]):
            wrong.append(f"#{trial.number} {kind}: {trial.state} {trial.error}")
    done = len(store.trials())
    title = f"{len(KINDS)} kinds × {count}"
    return [
        _figure(f"misbehaving candidates, {title}", "each fails with its reason", f"{trials - done} missing", wrong),
        _figure(f"honest candidates after them, {title}", "the score of a new process", "scores", changed),
        _figure(f"processes left by candidates, {title}", "0 orphans, 0 defunct", "looks", left),
        _figure(f"open descriptors of the search, {title}", "no more than at first", "looks", grown),
    ]


def _figure(name: str, target: str, what: str, faults: list[str]) -> Figure:
    return Figure(name, target, f"{len(faults)} faults ({what})", not faults, tuple(faults[:SHOWN]))


def _as_expected(trial: Trial, reason: str) -> bool:
    if not reason:
        return trial.state == "done"
    return trial.state == "failed" and (trial.error or "").startswith(reason)


def _before(store: MemoryStore, trial: Trial) -> str:
    return kind_of(store.trials()[trial.number - 1].architecture) if trial.number else ""


def _killed_masters(count: int) -> Figure:
    """What is left of a search whose process was ended by SIGKILL while candidates ran that had left processes."""
    running, waiting = list[str](), 0
    for i in range(count):
        mark = f"master-{os.getpid()}-{i}"
        with subprocess.Popen([sys.executable, "-c", MASTER, MARK, mark]) as master:
            while len(found := _marked(mark)) < IN_MASTER:
                time.sleep(0.05)
            seen = {pid: (name, _begun(pid)) for pid, name in found.items()}
            master.kill()
        end = time.monotonic() + LEFT_S
        while (left := _existing(seen)) and time.monotonic() < end:
            time.sleep(0.01)
        defunct = {pid for pid in left if _status(pid)[:2] == ["Z", "1"]}
        waiting += len(defunct)
        running += [f"{i}: {name} ({pid})" for pid, name in left.items() if pid not in defunct]
    measured = f"{len(running)} after {count} kills, and {waiting} that have ended, which process 1 has not yet reaped"
    target = f"0 of {IN_MASTER} processes after {LEFT_S:g} s"
    return Figure("processes left after SIGKILL of a search", target, measured, not running, tuple(running[:SHOWN]))


def _replacement(count: int) -> list[Figure]:
    """Seconds until a call begins in the place of a worker that was killed, and the time that a call takes besides."""
    parts = build(reading.load(None, ["search.device=cpu"]))
    config = reading.load(None)
    evaluator, candidate = parts.evaluator, sample(parts.space, random.Random(0))
    clocked = Clocked(evaluator)
    waits, calls = list[float](), list[float]()
    with ProcessExecutor(1) as executor:
        executor.submit(evaluator.evaluate, candidate, 1, 0).result()
        begin = time.monotonic()
        executor.submit(evaluator.evaluate, candidate, config.evaluator.budget, 0).result()
        whole_s = time.monotonic() - begin
        for _ in range(20 * count):
            begin = time.monotonic()
            executor.submit(clocked.begins).result()
            calls.append(time.monotonic() - begin)
        for _ in range(count):
            killed = executor.submit(KINDS["kills itself"][0])
            killed.exception()
            begin = time.monotonic()
            waits.append(executor.submit(clocked.begins).result() - begin)
    share = fmean(calls) / whole_s
    return [
        Figure(
            f"seconds until a killed worker is replaced, {count} times",
            "each below 1 s",
            f"mean {fmean(waits):.3f} s, longest {max(waits):.3f} s",
            max(waits) < 1.0,
        ),
        Figure(
            "time of an empty call, of a small candidate of the quick start",
            "below 2 %",
            f"{1000 * fmean(calls):.2f} ms of {whole_s:.2f} s, {100 * share:.2f} %",
            share < 0.02,
        ),
    ]


def _gone(look: Callable[[], dict[int, str]]) -> list[str]:
    """What a look still finds after LEFT_S; earlier where it finds nothing."""
    end = time.monotonic() + LEFT_S
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.01)
    return [f"{name} ({pid})" for pid, name in found.items()]


def _marked(mark: str) -> dict[int, str]:
    """The running processes that have the mark, with their commands."""
    wanted = f"{MARK}={mark}".encode()
    return {pid: _command(pid) for pid in _pids() if wanted in _read(pid, "environ").split(b"\0")}


def _existing(found: dict[int, tuple[str, str]]) -> dict[int, str]:
    """Those of some processes that exist, also as defunct ones."""
    return {pid: name for pid, (name, begun) in found.items() if begun and _begun(pid) == begun}


def _zombies() -> list[str]:
    """The defunct processes that have this one, or a child of it, as their parent."""
    parents = {pid: _status(pid)[1] for pid in _pids() if _status(pid)[1:]}
    family = {os.getpid(), *(pid for pid, parent in parents.items() if parent == str(os.getpid()))}
    return [f"defunct {pid}" for pid, parent in parents.items() if int(parent) in family and _status(pid)[0] == "Z"]


def _status(pid: int) -> list[str]:
    """State and the further fields of a process; empty where it has ended."""
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split() or [""]


def _begun(pid: int) -> str:
    """When a process began, which tells it from another of the same number; empty where there is none."""
    status = _status(pid)
    return status[19] if len(status) > 19 else ""


def _command(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")[:60]


def _pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
