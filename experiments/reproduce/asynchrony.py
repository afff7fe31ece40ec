"""Cost of asynchrony by controller: searches of a table with 1 to 1,000 workers in simulated time.

    python -m nas.experiments.reproduce.asynchrony TABLE.npz [--seeds 10] [--trials 300] [--out FILE]

TABLE.npz is a table of NAS-Bench-201 (docs/how-to/compare.md).
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from nas.evaluators.tabular import Tabular
from nas.registry import components
from nas.search import search
from nas.search.options import SearchOptions
from nas.search_spaces import NasBench201
from nas.space import enumerate_all
from nas.store.memory_store import MemoryStore
from nas.trial import Score, Trial

from ..command_line import add_output_options, explained, machine, machine_line, print_table, show_progress, whole

CONTROLLERS = ("random", "regularized-evolution", "local-search", "zoph-le", "reinforce", "evolution")
WORKERS = (1, 8, 64, 1000)
EPOCHS = 200
MOST_MORE = 1.1
"""Accepted evaluations of 8 workers to the score that a serial search has half-way, as a multiple of its own."""


class SimulatedSlots:
    """Slots in simulated time. The evaluation that ends first is finished when no slot is free, or no candidate comes.

    Args:
        workers: Number of slots.
        duration_s: Seconds of an evaluation, by its arguments.
    """

    def __init__(self, workers: int, duration_s: Callable[..., float]) -> None:
        self.workers, self.now_s = workers, 0.0
        self._duration_s = duration_s
        self._running: list[tuple[float, int, Future[Any], Score]] = []
        self._submitted, self._seen = 0, -1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Evaluates a candidate at once; its future ends at its time."""
        future: Future[Any] = Future()
        end_s = self.now_s + self._duration_s(*args)
        heapq.heappush(self._running, (end_s, self._submitted, future, fn(*args, **kwargs)))
        self._submitted += 1
        if len(self._running) == self.workers:
            self._end_one()
        return future

    def poll(self) -> bool:
        """Called by the search between its steps; ends an evaluation where the last step submitted none. Never True."""
        if self._seen == self._submitted and self._running:
            self._end_one()
        self._seen = self._submitted
        return False

    def _end_one(self) -> None:
        self.now_s, _, future, score = heapq.heappop(self._running)
        future.set_result(score)


@dataclass(frozen=True)
class Course:
    """Course of one search.

    Attributes:
        best: Best validation accuracy after each evaluation, in %.
        at_s: Simulated seconds of each evaluation's end.
    """

    best: tuple[float, ...]
    at_s: tuple[float, ...]

    def evaluations_to(self, accuracy: float) -> int:
        """Evaluations until an accuracy is reached; their number and one where it is not."""
        return next((i for i, best in enumerate(self.best, 1) if best >= accuracy), len(self.best) + 1)

    def best_at(self, seconds: float) -> float:
        """Best accuracy at a time; 0 before the first evaluation ended."""
        return max((best for best, at in zip(self.best, self.at_s, strict=True) if at <= seconds), default=0.0)


@dataclass(frozen=True)
class Row:
    """One controller with one number of workers, over all seeds.

    Attributes:
        controller: Its name.
        workers: Number of workers.
        regret: Mean regret after the last evaluation, in percentage points of validation accuracy.
        evaluations: Median of the evaluations to the accuracy that the serial search has, in the median, half-way.
        more: `evaluations` as a multiple of the serial ones.
        regret_at_time: Mean regret at the time of the serial search's end divided by the workers.
        speed_up: Mean of the serial search's time divided by this one's.
    """

    controller: str
    workers: int
    regret: float
    evaluations: float
    more: float
    regret_at_time: float
    speed_up: float


def course(table: Tabular, space: NasBench201, controller: str, workers: int, trials: int, seed: int) -> Course:
    """One search in simulated time."""
    slots = SimulatedSlots(workers, lambda architecture, budget, _seed: table.seconds(architecture, budget))
    best: list[float] = []
    at: list[float] = []

    def on_trial(trial: Trial) -> None:
        if trial.duplicate_of is None and trial.score is not None:
            best.append(max(trial.value, best[-1] if best else 0.0))
            at.append(slots.now_s)

    made = components.create("controller", controller, {}, space=space, seed=seed)
    options = SearchOptions(
        trials=trials,
        budget=EPOCHS,
        seed=0,
        workers=workers,
        on_trial=on_trial,
        stop=slots.poll,
        clock=lambda: slots.now_s,
    )
    search(space, made, table, MemoryStore(), slots, options)
    return Course(tuple(best), tuple(at))


def rows(table: Tabular, space: NasBench201, controller: str, highest: float, options: argparse.Namespace) -> list[Row]:
    """A controller with each number of workers; `highest` is the best accuracy of the table."""
    found: list[Row] = []
    serial: list[Course] = []
    for workers in options.workers:
        show_progress(f"{controller}, {workers} workers …")
        trials = options.trials
        courses = [course(table, space, controller, workers, trials, seed) for seed in range(options.seeds)]
        serial = serial or courses
        target = median(each.best[min(trials // 2, len(each.best)) - 1] for each in serial)
        evaluations = median(each.evaluations_to(target) for each in courses)
        found.append(
            Row(
                controller,
                workers,
                fmean(highest - each.best[-1] for each in courses),
                evaluations,
                evaluations / median(each.evaluations_to(target) for each in serial),
                fmean(
                    highest - each.best_at(one.at_s[-1] / workers) for each, one in zip(courses, serial, strict=True)
                ),
                fmean(one.at_s[-1] / each.at_s[-1] for each, one in zip(courses, serial, strict=True)),
            )
        )
    return found


def text(found: Sequence[Row], options: argparse.Namespace) -> str:
    """The table for people."""
    lines = [
        machine_line(machine()),
        f"{options.table.name}, validation accuracy after {EPOCHS} epochs, {options.trials} evaluations, "
        f"{options.seeds} seeds",
        "",
        "controller              workers   regret   evaluations to   × serial   regret at the   speed-up",
        "                                           half-way score              serial time ÷ n",
    ]
    for row in found:
        flag = " MORE" if row.workers == 8 and row.more > MOST_MORE else ""
        lines.append(
            f"{row.controller:<22} {row.workers:>8} {row.regret:>8.2f} {row.evaluations:>16.1f} {row.more:>10.2f} "
            f"{row.regret_at_time:>15.2f} {row.speed_up:>10.1f}{flag}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the searches and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m nas.experiments.reproduce.asynchrony", description=__doc__)
    parser.add_argument("table", type=Path, help="file of the table")
    parser.add_argument("--controllers", nargs="*", default=list(CONTROLLERS), help="names of controllers")
    parser.add_argument("--workers", nargs="*", type=whole(1), default=list(WORKERS), help="numbers of workers")
    parser.add_argument("--trials", type=whole(2), default=300, help="evaluations of a search")
    parser.add_argument("--seeds", type=whole(1), default=10, help="searches of each")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained("asynchrony"):
        space = NasBench201(published=True)
        table = Tabular(space, options.table, dataset="cifar10", score="val", cost="train_seconds")
        highest = max(table.evaluate(each, EPOCHS, 0).value for each in enumerate_all(space))
        found = [row for name in options.controllers for row in rows(table, space, name, highest, options)]
        command = ["python", "-m", "nas.experiments.reproduce.asynchrony", options.table.name]
        command += ["--trials", str(options.trials), "--seeds", str(options.seeds)]
        print_table(options, command, text(found, options), [asdict(row) for row in found])


if __name__ == "__main__":
    main()
