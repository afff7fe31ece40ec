"""Benchmark of controllers: time of ask + tell a candidate after 10, 100 and 1,000 trials, memory after 100,000.

    python -m nas.experiments.benchmarks.controllers [--only NAME,…] [--minutes 10] [--json] [--out TXT]

Each controller is measured in a process of its own, whose whole memory counts as the controller's. A controller that
takes longer than `--minutes` is measured up to the trial that it reached.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from nas import registry
from nas.architecture import Architecture
from nas.errors import ConfigError, nearest
from nas.protocols import Controller
from nas.space import sample
from nas.trial import Trial

from ..command_line import add_output_options, explained, machine, machine_line, print_benchmark, whole
from .search_overhead import SPACE, score_like

POLICY_MS = 4.0
"""Target of controllers with a learned policy, in ms a candidate."""
PREDICTOR_MS = 30.0
"""Target of controllers with a predictor."""
SIMPLE_MS = 0.3
"""Target of controllers without either."""
MOST_MIB = 500
"""Target of a process's memory."""
ROUNDS = 100
"""Candidates that a time is the mean of; enough to include work that is seldom done, such as refitting a predictor."""


@dataclass(frozen=True)
class Contender:
    """Controller with options.

    Attributes:
        controller: Its name.
        options: Its options.
        target_ms: Target in ms a candidate, after the largest number of trials; None without a target.
    """

    controller: str
    options: Mapping[str, Any] = field(default_factory=dict)
    target_ms: float | None = None

    @property
    def name(self) -> str:
        """Name in the table."""
        return " ".join([self.controller, *(f"{key}={value}" for key, value in self.options.items())])


SET = (
    Contender("random", target_ms=SIMPLE_MS),
    Contender("regularized-evolution", target_ms=SIMPLE_MS),
    Contender("evolution", {"pool": 1}, SIMPLE_MS),
    Contender("reinforce", {"pool": 1}, POLICY_MS),
    Contender("zoph-le", target_ms=POLICY_MS),
    Contender("reinforce-nas-bench-201", target_ms=POLICY_MS),
    Contender("evolution", target_ms=PREDICTOR_MS),
    Contender("reinforce", target_ms=PREDICTOR_MS),
)


@dataclass(frozen=True)
class Row:
    """Measurement of a controller.

    Attributes:
        name: Name in the table.
        ms: Milliseconds a candidate, by the number of trials told before.
        target_ms: Target for the largest number; None without a target.
        trials: Number of trials told in the end.
        peak_mib: Peak memory of the process after these, in MiB.
        met: Whether the targets of time and memory were met; None without a target or an end.
    """

    name: str
    ms: Mapping[int, float]
    target_ms: float | None
    trials: int
    peak_mib: float
    met: bool | None


def contenders() -> list[Contender]:
    """The controllers with targets, then every other controller with its default options."""
    named = {contender.controller for contender in SET}
    return [*SET, *(Contender(name) for name in registry.names("controller") if name not in named)]


def measure(contender: Contender, counts: Sequence[int], memory: int, minutes: float) -> Row:
    """The row of a controller, measured in a process of its own.

    Args:
        contender: Controller to measure.
        counts: Numbers of trials after which the time is measured.
        memory: Number of trials after which memory is measured.
        minutes: Longest duration.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        ms, trials, peak = pool.submit(measured, contender, counts, memory, 60 * minutes).result()
    target, last = contender.target_ms, ms.get(max(counts))
    met = None if target is None or last is None or trials < memory else last <= target and peak <= MOST_MIB
    return Row(contender.name, ms, target, trials, peak, met)


def measured(
    contender: Contender, counts: Sequence[int], memory: int, seconds: float
) -> tuple[dict[int, float], int, float]:
    """The ms after each of the counts, the number of trials told, and the peak memory of this process in MiB."""
    space = registry.create("space", SPACE, {})
    controller = registry.create("controller", contender.controller, contender.options, space=space, seed=0)
    rng, began, num_told = random.Random(0), time.monotonic(), 0

    def tell_random(until: int) -> None:
        nonlocal num_told
        while num_told < until and time.monotonic() - began < seconds:
            controller.tell([_trial(num_told, sample(space, rng), rng)])
            num_told += 1

    ms: dict[int, float] = {}
    for count in sorted(counts):
        tell_random(count)
        if num_told >= count:
            ms[count] = 1000 * fmean(_candidate_seconds(controller, num_told + i, rng) for i in range(ROUNDS))
            num_told += ROUNDS
    tell_random(memory)
    unit = 1 if sys.platform == "darwin" else 1024
    return ms, num_told, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _candidate_seconds(controller: Controller, number: int, rng: random.Random) -> float:
    """The seconds of an ask and the tell of its candidate, without the time of making a trial of it."""
    ask_began = time.perf_counter()
    candidates = controller.ask(1)
    ask_ended = time.perf_counter()
    trials = [_trial(number, candidate, rng) for candidate in candidates]
    tell_began = time.perf_counter()
    controller.tell(trials)
    return time.perf_counter() - tell_began + ask_ended - ask_began


def _trial(number: int, architecture: Architecture, rng: random.Random) -> Trial:
    return Trial(number, architecture, 1, 0, state="done", score=score_like(rng), seconds=1.0)


def text(about: Mapping[str, object], rows: Sequence[Row]) -> str:
    """The table for people; `about` describes the machine."""
    counts = sorted({count for row in rows for count in row.ms})
    width = max(len(row.name) for row in rows) + 2
    lines = [machine_line(about)]
    lines.append(f"ask + tell on {SPACE}, ms a candidate after so many trials; the process's memory after others")
    heads = "".join(f"{count:>10,}" for count in counts)
    lines.append(f"{'':<{width}}{heads}{'target':>10}{'MiB':>8}{'after':>10}")
    for row in rows:
        shown = "".join(f"{row.ms[count]:>10.2f}" if count in row.ms else f"{'–':>10}" for count in counts)
        target = "" if row.target_ms is None else f"{row.target_ms:g}"
        verdict = {True: "met", False: "NOT MET", None: ""}[row.met]
        line = f"{row.name:<{width}}{shown}{target:>10}{row.peak_mib:>8.0f}{row.trials:>10,}  {verdict}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Measures what controllers cost apart from storing and evaluating.")
    parser.add_argument("--only", default="", help="names of controllers, also optuna:NAME, with commas")
    parser.add_argument("--counts", type=_counts, default=[10, 100, 1000], help="trials told before, with commas")
    parser.add_argument("--memory", type=whole(1), default=100_000, help="trials after which memory is measured")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each controller, at most")
    add_output_options(parser)
    options = parser.parse_args()
    with explained("controllers"):
        about = machine()
        rows = [measure(each, options.counts, options.memory, options.minutes) for each in _chosen(options.only)]
        print_benchmark(options, text(about, rows), {"machine": about, "rows": [asdict(row) for row in rows]})


def _counts(text: str) -> list[int]:
    return [whole(1)(count) for count in text.split(",")]


def _chosen(names: str) -> list[Contender]:
    only, known = [name for name in names.split(",") if name], contenders()
    for name in only:
        if not registry.is_controller(name):
            raise ConfigError(f"--only {name!r}: {nearest(name, registry.names('controller'))}")
    named = {contender.controller for contender in known}
    others = [Contender(name) for name in only if name not in named]  # Optuna's samplers and users' controllers
    return [one for one in known if not only or one.controller in only] + others


if __name__ == "__main__":
    main()
