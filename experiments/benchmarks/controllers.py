"""What a controller's thinking costs: ask + tell a candidate after 10, 100 and 1,000 trials, and memory after 100,000.

    python -m nas.experiments.benchmarks.controllers [--only NAME,…] [--minutes 10] [--json] [--out TXT]

Each controller is measured in a process of its own, whose whole memory counts as the controller's. One that is not
through after `--minutes` is measured as far as it came.
"""

from __future__ import annotations

import argparse
import json
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

from ..command_line import explained, machine, output, whole
from .search_overhead import SPACE, score_like

LEARNT = 4.0
PREDICTED = 30.0
SIMPLE = 0.3
"""Most ms a candidate: of a policy, of a predictor, of neither."""
MOST_MIB = 500
ROUNDS = 100
"""Candidates that each time is a mean of: enough that work done once in a while, such as weighing a predictor's members
again after a tenth more trials, counts for what it is."""


@dataclass(frozen=True)
class Contender:
    """A controller with options, and the most ms a candidate after the last of the counts; None: none is set."""

    controller: str
    options: Mapping[str, Any] = field(default_factory=dict)
    target_ms: float | None = None

    @property
    def name(self) -> str:
        return " ".join([self.controller, *(f"{key}={value}" for key, value in self.options.items())])


SET = (
    Contender("random", target_ms=SIMPLE),
    Contender("regularized-evolution", target_ms=SIMPLE),
    Contender("evolution", {"pool": 1}, SIMPLE),
    Contender("reinforce", {"pool": 1}, LEARNT),
    Contender("zoph-le", target_ms=LEARNT),
    Contender("reinforce-nas-bench-201", target_ms=LEARNT),
    Contender("evolution", target_ms=PREDICTED),
    Contender("reinforce", target_ms=PREDICTED),
)


@dataclass(frozen=True)
class Row:
    """ms a candidate by how many trials were told before; peak memory after `trials` of them."""

    name: str
    ms: Mapping[int, float]
    target_ms: float | None
    trials: int
    peak_mib: float
    met: bool | None


def contenders() -> list[Contender]:
    """Those with targets, then every other controller by its defaults."""
    named = {contender.controller for contender in SET}
    return [*SET, *(Contender(name) for name in registry.names("controller") if name not in named)]


def measure(contender: Contender, counts: Sequence[int], memory: int, minutes: float) -> Row:
    """A controller's row; the process that it is measured in ends with it."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        ms, trials, peak = pool.submit(measured, contender, counts, memory, 60 * minutes).result()
    target, last = contender.target_ms, ms.get(max(counts))
    enough = trials >= memory
    met = None if target is None or last is None or not enough else last <= target and peak <= MOST_MIB
    return Row(contender.name, ms, target, trials, peak, met)


def measured(
    contender: Contender, counts: Sequence[int], memory: int, seconds: float
) -> tuple[dict[int, float], int, float]:
    """The ms after each of the counts, how many trials were told, and the highest memory of this process in MiB."""
    space = registry.create("space", SPACE, {})
    controller = registry.create("controller", contender.controller, contender.options, space=space, seed=0)
    rng, began, told = random.Random(0), time.monotonic(), 0

    def tell_random(until: int) -> None:
        nonlocal told
        while told < until and time.monotonic() - began < seconds:
            controller.tell([_trial(told, sample(space, rng), rng)])
            told += 1

    ms: dict[int, float] = {}
    for count in sorted(counts):
        tell_random(count)
        if told >= count:
            ms[count] = 1000 * fmean(_candidate_seconds(controller, told + i, rng) for i in range(ROUNDS))
            told += ROUNDS
    tell_random(memory)
    unit = 1 if sys.platform == "darwin" else 1024
    return ms, told, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _candidate_seconds(controller: Controller, number: int, rng: random.Random) -> float:
    """Of an ask and the tell of what was asked."""
    began = time.perf_counter()
    asked = controller.ask(1)
    middle = time.perf_counter()
    trials = [_trial(number, architecture, rng) for architecture in asked]
    again = time.perf_counter()
    controller.tell(trials)
    return time.perf_counter() - again + middle - began


def _trial(number: int, architecture: Architecture, rng: random.Random) -> Trial:
    return Trial(number, architecture, 1, 0, state="done", score=score_like(rng), seconds=1.0)


def text(about: Mapping[str, object], rows: Sequence[Row]) -> str:
    """The rows as a table, for people."""
    counts = sorted({count for row in rows for count in row.ms})
    width = max(len(row.name) for row in rows) + 2
    lines = [" · ".join(f"{key} {value}" for key, value in about.items())]
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
    parser = argparse.ArgumentParser(description="Measures what controllers cost apart from storing and evaluating.")
    parser.add_argument("--only", default="", help="names of controllers, also optuna:NAME, with commas")
    parser.add_argument("--counts", type=_counts, default=[10, 100, 1000], help="trials told before, with commas")
    parser.add_argument("--memory", type=whole(1), default=100_000, help="trials after which memory is measured")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each controller, at most")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--out", type=output, help="a file for what is printed")
    arguments = parser.parse_args()
    with explained("controllers"):
        about = machine()
        rows = [measure(one, arguments.counts, arguments.memory, arguments.minutes) for one in _chosen(arguments.only)]
        shown = text(about, rows)
        if arguments.json:
            shown = json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, ensure_ascii=False)
        print(shown)
        if arguments.out:
            arguments.out.write_text(shown + "\n", encoding="utf-8")


def _counts(text: str) -> list[int]:
    return [whole(1)(count) for count in text.split(",")]


def _chosen(names: str) -> list[Contender]:
    only, known = [name for name in names.split(",") if name], contenders()
    for name in only:
        if not registry.is_controller(name):
            raise ConfigError(f"--only {name!r}: {nearest(name, registry.names('controller'))}")
    named = {contender.controller for contender in known}
    others = [Contender(name) for name in only if name not in named]  # of Optuna's samplers, or a person's own
    return [one for one in known if not only or one.controller in only] + others


if __name__ == "__main__":
    main()
