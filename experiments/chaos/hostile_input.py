"""Hostile input: odd and fuzzed configs, changed exports, and files that would run code, at every door."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nas.config import reading
from nas.errors import NasError

from . import config_fuzzing, gadgets, hostile_configs, hostile_exports
from .children import Tried, in_child, in_children
from .figures import Figure, Settings

LIMIT_S = 2.0
"""Seconds in which a config is refused or taken."""
MOST_MIB = 256.0
"""Memory that a config takes at most, above that of the imported program."""
MOST_GADGET_MIB = 1024.0
"""Memory that a gadget takes at most."""
KILL_S = 60.0
"""Seconds after which a child is killed."""
USAGE = 2
"""Exit status of a command whose config or data cannot be used."""
MOST_CHARACTERS = 2_000
"""Characters of a message at most."""
MOST_FAULTS = 20


def measure(settings: Settings) -> list[Figure]:
    """The figures of hostile input."""
    return [
        *config_figures(settings, None if settings.full else 600),
        fuzz_figure(settings, 1_000_000 if settings.full else 4_000, 3_000.0 if settings.full else 60.0),
        export_figure(settings, 20_000 if settings.full else 150),
        gadget_figure(settings),
    ]


def config_figures(settings: Settings, count: int | None) -> list[Figure]:
    """Odd configs, each read in a forked child as `nas search` reads it: refused with status 2 in one line, or taken.

    Memory is the peak of the child's resident memory above that before it reads.

    Args:
        settings: Settings of the experiments.
        count: Number of configs; None for all.
    """
    reading.load(reading.QUICK_START)  # What a config needs is imported before the children are forked.
    faults, peaks, refused, slowest = list[str](), [0.0], 0, (0.0, "")
    cases = hostile_configs.cases(count, random.Random(settings.seed))
    for number, case in enumerate(cases):
        path = settings.folder / f"config-{number}.toml"
        case.make(path)
        tried = in_child(partial(_read, path), KILL_S)
        refused += tried.answer is not None and tried.answer != ""
        faults += [f"{case.name}: {fault}" for fault in _fault(tried)]
        peaks.append(tried.peak_mib)
        slowest = max(slowest, (tried.seconds, case.name))
        if not path.is_dir():
            path.unlink(missing_ok=True)
    seconds, name = slowest
    return [
        Figure(
            "odd configs",
            "at least 500; each refused in one line with status 2, or taken",
            f"{len(cases)} tried, {refused} refused, {len(faults)} faults",
            len(cases) >= 500 and not faults,
            tuple(faults[:MOST_FAULTS]),
        ),
        Figure("slowest answer to an odd config", "< 2 s", f"{seconds:.2f} s ({name})", seconds < LIMIT_S),
        Figure(
            "peak memory of reading an odd config",
            "< 256 MiB above the imported program",
            f"{max(peaks):.0f} MiB",
            max(peaks) < MOST_MIB,
        ),
    ]


def fuzz_figure(settings: Settings, count: int, limit_s: float) -> Figure:
    """Configs fuzzed at random, in a child for each processor."""
    workers = os.cpu_count() or 1
    tries = [partial(_fuzz, count // workers, settings.seed * workers + i, limit_s) for i in range(workers)]
    results = in_children(tries, limit_s + KILL_S)
    faults = [fault for result in results for fault in ([result.end] if result.end else result.answer["faults"])]
    answers = [result.answer for result in results if not result.end]
    tried, legal = (sum(answer[key] for answer in answers) for key in ("count", "legal"))
    slowest = max((answer["slowest_s"] for answer in answers), default=0.0)
    measured = f"{tried:,} tried, {legal:,} of them legal, {len(faults)} faults, slowest {slowest:.2f} s"
    target = f"{count // workers * workers:,}; no error but the project's own, none slower than 2 s"
    met = not faults and slowest < LIMIT_S and tried == count // workers * workers
    return Figure("fuzzed configs", target, measured, met, tuple(faults[:MOST_FAULTS]))


def export_figure(settings: Settings, count: int) -> Figure:
    """Changed exports, opened as `nas adapt` opens them: refused in words, or harmless."""
    folder = settings.folder / "exports"
    folder.mkdir()
    net = folder / "net"
    hostile_exports.write_export(net)
    batches = hostile_exports.batches(count, settings.seed)
    tries = [partial(hostile_exports.open_changed, net, folder / f"copy-{i}", batch) for i, batch in enumerate(batches)]
    results = in_children(tries, (1 + count / 20) * KILL_S)
    faults = [fault for result in results for fault in ([result.end] if result.end else result.answer["faults"])]
    answers = [result.answer for result in results if not result.end]
    tried, refused = (sum(answer[key] for answer in answers) for key in ("count", "refused"))
    canary = gadgets.canary_touched(folder)
    measured = f"{tried:,} opened, {refused:,} refused, {len(faults)} faults" + (", canary touched" if canary else "")
    target = "each refused in words or harmless"
    return Figure("changed exports", target, measured, not faults and not canary, tuple(faults[:MOST_FAULTS]))


def gadget_figure(settings: Settings) -> Figure:
    """Files that would run code where they are unpickled or followed, in place of each kind of file that is read."""
    faults, tried, touched, peak = list[str](), 0, 0, 0.0
    for door in gadgets.DOORS:
        for gadget in gadgets.GADGETS:
            folder = settings.folder / f"gadget-{tried}"
            folder.mkdir()
            result = in_child(partial(gadgets.open_gadget, door, gadgets.make(gadget, door, folder)), KILL_S)
            faults += [f"{gadget} at {door}: {fault}" for fault in _gadget_faults(result)]
            touched += gadgets.canary_touched(folder)
            peak = max(peak, result.peak_mib)
            shutil.rmtree(folder)
            tried += 1
    measured = (
        f"{len(gadgets.GADGETS)} × {len(gadgets.DOORS)} tried, {touched} canaries touched, {len(faults)} faults, "
        f"at most {peak:.0f} MiB"
    )
    target = "no canary touched, no error but the project's own, at most 1 GiB"
    met = not faults and not touched and peak <= MOST_GADGET_MIB
    return Figure("gadget files × doors", target, measured, met, tuple(faults[:MOST_FAULTS]))


def refusal(read: Callable[[], object]) -> str:
    """The message with which a read is refused; empty where it is not. Other errors than the project's pass."""
    try:
        read()
    except NasError as error:
        if error.exit_status != USAGE:
            return f"status {error.exit_status}: {error}"
        return str(error) or "no message"
    return ""


def _read(path: Path) -> str:
    return refusal(lambda: reading.load(str(path)))


def _fuzz(count: int, seed: int, limit_s: float) -> dict[str, Any]:
    result = config_fuzzing.fuzz(count, seed, limit_s)
    return {"count": result.count, "legal": result.legal, "slowest_s": result.slowest_s, "faults": result.faults}


def _gadget_faults(tried: Tried) -> list[str]:
    """What is wrong with an answer to a gadget, in at most one line."""
    if tried.end:
        return [tried.end]
    return [f"the message has several lines: {tried.answer[:200]!r}"] if "\n" in tried.answer else []


def _fault(tried: Tried) -> list[str]:
    """What is wrong with an answer: nothing, or one line."""
    if tried.end:
        return [tried.end]
    message = tried.answer
    if "\n" in message or len(message) > MOST_CHARACTERS or message.startswith("status "):
        return [f"the message is not one line of status 2: {message[:200]!r}"]
    return []
