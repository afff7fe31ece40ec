"""Script of a reproduction: its command line, and its table of published and measured numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from nas import config as configs
from nas.analysis.intervals import estimate
from nas.evaluators.meta_training.devices import device_of

from ..command_line import (
    Machine,
    add_output_options,
    explained,
    machine,
    machine_line,
    print_table,
    resumable,
    show_progress,
    whole,
)
from .measure import Result, measured
from .settings import Row, load, rows

SQUARED_ERROR = "mean squared error"
ACCURACY = "accuracy in %"


@dataclass(frozen=True)
class Line:
    """Line of the table: a row after a number of inner steps, over the measured seeds.

    Attributes:
        method: Name of the row.
        title: Its name in the table.
        steps: Number of inner steps.
        published: Number to reproduce; None if none is published.
        value: Mean over test tasks and seeds.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
    """

    method: str
    title: str
    steps: int
    published: float | None
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Training:
    """Training of a row, for the notes under the table.

    Attributes:
        method: Name of the row.
        seeds: Measured seeds.
        outer_steps: Outer steps of meta-training.
        tasks_per_step: Tasks of each.
        rates: Tuned inner rates of the seeds; empty for the learner's own.
        train_seconds: Seconds of meta-training of each seed.
        seconds: Seconds of the whole measurement of each seed.
        source: Source of the published numbers.
    """

    method: str
    seeds: list[int]
    outer_steps: int
    tasks_per_step: int | None
    rates: list[float]
    train_seconds: list[float]
    seconds: list[float]
    source: str


@dataclass(frozen=True)
class Reproduction:
    """Result of a reproduction.

    Attributes:
        title: Title of the table.
        measure: Name of the measured value.
        note: Note on the schedule and the test tasks.
        schedule: Name of the schedule.
        lines: Lines of the table.
        rows: Trainings of the rows.
        machine: The machine that it was measured on.
    """

    title: str
    measure: str
    note: str
    schedule: str
    lines: tuple[Line, ...]
    rows: tuple[Training, ...]
    machine: Machine


def lines(row: Row, results: Mapping[int, Result], *, regression: bool) -> list[Line]:
    """A line for each number of inner steps: the mean squared error, or the accuracy in per cent."""
    scale = -1.0 if regression else 100.0
    table = []
    for steps in row.table.steps:
        values = [result.values[str(steps)] for result in results.values()]
        mean = estimate(values, accuracy=not regression)
        low, high = sorted((scale * mean.low, scale * mean.high))
        published = row.table.published.get(str(steps))
        table.append(Line(row.name, row.table.title, steps, published, scale * mean.value, low, high))
    return table


def training(row: Row, results: Mapping[int, Result]) -> Training:
    """The training of a row and its seconds, by its results by seed."""
    evaluator = row.config.evaluator
    return Training(
        method=row.name,
        seeds=list(results),
        outer_steps=evaluator.budget,
        tasks_per_step=evaluator.options.get("tasks_per_step"),
        rates=[result.rate for result in results.values() if result.rate is not None],
        train_seconds=[round(result.train_seconds, 1) for result in results.values()],
        seconds=[round(result.seconds, 1) for result in results.values()],
        source=row.table.source,
    )


def text(result: Reproduction) -> str:
    """The table for people."""
    number = "{:.3f}" if result.measure == SQUARED_ERROR else "{:.2f}"
    table = [f"{result.title}: {result.measure}. {result.note}", ""]
    table.append(f"{'method':<40}{'inner steps':>12}{'published':>11}{'ours':>9}   95 % interval")
    for line in result.lines:
        published = "" if line.published is None else f"{line.published:g}"
        value, low, high = map(number.format, (line.value, line.low, line.high))
        table.append(f"{line.title:<40}{line.steps:>12}{published:>11}{value:>9}   {low} – {high}")
    table.append("")
    for row in result.rows:
        took = " + ".join(f"{seconds:.0f}" for seconds in row.seconds)
        rates = f"; tuned inner rate {', '.join(f'{rate:g}' for rate in row.rates)}" if row.rates else ""
        seeds = " ".join(map(str, row.seeds))
        table.append(
            f"{row.method}: {row.outer_steps:,} outer steps of {row.tasks_per_step} tasks, seeds {seeds}, "
            f"{took} s{rates}. {row.source}".rstrip()
        )
    if any(len(row.seeds) < 3 for row in result.rows):
        table.append("Intervals of fewer than three seeds are over tasks alone, for these trainings.")
    return "\n".join([*table, "", f"Machine: {machine_line(result.machine)}"])


def main(name: str, title: str, arguments: Sequence[str] | None = None, *, data: bool = False) -> None:
    """Run the command line of a reproduction: measure every row with every seed, then print the table.

    Args:
        name: Name of the reproduction.
        title: Title of the table.
        arguments: Arguments of the command line; None for those of the process.
        data: Whether its tasks read data, whose path is then an argument.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser(name, title, data)
    options = parser.parse_args(arguments)
    with explained(parser.prog, interrupted=resumable(options.work)):
        result = _run(name, title, options)
        print_table(options, [*parser.prog.split(), *arguments], text(result), asdict(result))


def _parser(name: str, title: str, data: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m nas.experiments.reproduce.{name}", description=title)
    parser.add_argument("--schedule", help="of the settings; the first one when not given")
    parser.add_argument("--methods", default="", help="rows to measure, with commas between them; all when not given")
    parser.add_argument("--only-seed", type=whole(0), help="instead of all seeds of the settings")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--work", type=Path, default=Path(f"work-{name}"), help="folder of finished results")
    parser.add_argument("--settings", type=Path, help="a TOML file in place of the one that comes with the package")
    add_output_options(parser)
    if data:
        parser.add_argument("--path", required=True, help="where the data is, as `tasks.path` of a config")
    return parser


def _run(name: str, title: str, options: argparse.Namespace) -> Reproduction:
    settings = load(name, options.settings)
    schedule = options.schedule or next(iter(settings.schedules))
    seeds = settings.seeds if options.only_seed is None else [options.only_seed]
    task_options = {"path": options.path} if "path" in options else {}
    methods = [method for method in options.methods.split(",") if method]
    chosen = rows(settings, schedule, methods=methods, device=options.device, task_options=task_options)
    families = [configs.build(row.config).measurer.tasks for row in chosen]
    for family in families:
        family.check()
    regression = families[0].shape.kind == "regression"
    options.work.mkdir(parents=True, exist_ok=True)
    table: list[Line] = []
    trainings: list[Training] = []
    for row in chosen:
        results = {}
        for seed in seeds:
            results[seed] = measured(row, seed, options.work)
            show_progress(f"{row.name}, seed {seed}: {results[seed].seconds:.0f} s")
        table += lines(row, results, regression=regression)
        trainings.append(training(row, results))
    test = settings.test
    return Reproduction(
        title=title,
        measure=SQUARED_ERROR if regression else ACCURACY,
        note=f"{settings.schedules[schedule].note} Measured on {test.tasks} test tasks of {test.queries} queries "
        f"{'each' if regression else 'a class'}.",
        schedule=schedule,
        lines=tuple(table),
        rows=tuple(trainings),
        machine={**machine(), "device": _device_name(options.device)},
    )


def _device_name(name: str) -> str:
    device = device_of(name)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
