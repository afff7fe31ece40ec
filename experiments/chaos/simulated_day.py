"""A day of simulated time through the search loop: up to a million candidates, memory and descriptors at its end."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from nas.architecture import Architecture
from nas.choose import Choose
from nas.executors import InlineExecutor
from nas.protocols.controllers import Trials
from nas.registry import components
from nas.search import SearchOptions, search
from nas.store import MemoryStore, Store
from nas.testing.toy_spaces import WithoutNetworks
from nas.trial import Duplicates, Score, Trial

from .figures import Figure, Settings
from .toy_searches import quick_folder

DAY_S = 86_400
MOST_GROWTH = 0.05
"""Largest growth of memory after the warm-up, relative to the memory then."""


class Wide(WithoutNetworks):
    """10⁸ architectures: eight choices of ten options each."""

    name = "wide"

    def decide(self, choose: Choose) -> tuple[int, ...]:
        return tuple(choose(f"place{place}", range(10)) for place in range(8))


@dataclass(frozen=True)
class Table:
    """Scores by the sum of the indices, all at the same cost in simulated seconds."""

    cost_s: float

    def check(self, architecture: Architecture) -> None:
        """Accepts every architecture."""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        value = sum(architecture.picks.values()) / 72
        return Score(value, 0.0, (value,), (value,), {"params": 1.0}, {"table": "sum"}, cost_s=self.cost_s)

    def seconds(self, architecture: Architecture, budget: int) -> float:
        return self.cost_s

    def reported(self, architecture: Architecture, budget: int) -> float:
        return 0.0


@dataclass
class Watch:
    """Memory, descriptors and time of this process while a search goes on.

    Attributes:
        warm_up: Number of trials after which the growth is counted.
        memory: Resident bytes after the warm-up and at present.
        descriptors: Open files after the warm-up and at present.
        times: Seconds from any fixed moment, at the beginning and after each `warm_up` trials.
    """

    warm_up: int
    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=lambda: [time.perf_counter()])
    ended: int = 0

    def on_trial(self, _trial: Trial) -> None:
        self.ended += 1
        if self.ended % self.warm_up == 0:
            self.times.append(time.perf_counter())
            self.memory = [*self.memory[:1], _resident()]
            self.descriptors = [*self.descriptors[:1], len(os.listdir("/proc/self/fd"))]


def measure(settings: Settings) -> list[Figure]:
    """A day with a durable store of which nothing is kept in memory, and one with all trials in memory."""
    candidates = 1_000_000 if settings.full else 20_000
    with tempfile.TemporaryDirectory(dir=quick_folder(settings.folder)) as folder:
        with Store.create(Path(folder) / "trials.sqlite", {}) as store:
            durable = _day(store, candidates, "regularized-evolution", "evaluated")
        known = _day(MemoryStore(), candidates, "random", "known")
    return [
        _figure("durable store, regularized evolution", candidates, durable),
        _figure("trials in memory, random search without duplicates", candidates, known),
    ]


def _day(store: Trials, candidates: int, name: str, duplicates: Duplicates) -> Watch:
    space, watch = Wide(), Watch(candidates // 10)
    controller = components.create("controller", name, {}, space=space, seed=0)
    options = SearchOptions(
        trials=2 * candidates,
        budget=1,
        seed=0,
        workers=1,
        duplicates=duplicates,
        seconds=DAY_S,
        on_trial=watch.on_trial,
    )
    search(space, controller, Table(DAY_S / candidates), store, InlineExecutor(), options)
    return watch


def _figure(what: str, candidates: int, watch: Watch) -> Figure:
    """The figure of a day."""
    warm, end = watch.memory
    growth, each = (end - warm) / warm, (end - warm) / (watch.ended - watch.warm_up)
    seconds = [after - before for before, after in pairwise(watch.times)]
    leaked = watch.descriptors[-1] - watch.descriptors[0]
    return Figure(
        f"a simulated day of {candidates:,} candidates, {what}",
        f"memory grows by less than {MOST_GROWTH:.0%} after the first tenth; no descriptor leaks",
        f"{watch.ended:,} candidates; memory {warm / 2**20:,.0f} → {end / 2**20:,.0f} MiB ({growth:+.1%}, {each:,.0f} "
        f"bytes a candidate); {leaked:+d} descriptors; the last tenth took {seconds[-1] / seconds[0]:.2f} times "
        "as long as the first",
        watch.ended >= 0.99 * candidates and leaked <= 0 and growth < MOST_GROWTH,
    )


def _resident() -> int:
    """Resident memory of this process in bytes."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * resource.getpagesize()
