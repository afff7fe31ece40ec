"""The script of a reproduction: its command line, and its table with the published number beside ours."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from nas import config as configs
from nas.analysis.intervals import estimate
from nas.evaluators.meta_training.devices import device_of

from ..command_line import explained, machine, output, whole
from .measure import Result, measured
from .settings import Row, load, rows


@dataclass(frozen=True)
class Line:
    """One line of the table: a row after a number of inner steps, over the seeds at hand.

    value, low, high  the mean over test tasks (and seeds) and its 95 % interval; published the number to reproduce
    """

    method: str
    title: str
    steps: int
    published: float | None
    value: float
    low: float
    high: float


def lines(row: Row, results: Mapping[int, Result], *, regression: bool) -> list[Line]:
    """A line for each number of inner steps: the mean squared error, or the accuracy in per cent."""
    scale = -1.0 if regression else 100.0
    found = []
    for steps in row.table.steps:
        values = [result.values[str(steps)] for result in results.values()]
        mean = estimate(values, accuracy=not regression)
        low, high = sorted((scale * mean.low, scale * mean.high))
        published = row.table.published.get(str(steps))
        found.append(Line(row.name, row.table.title, steps, published, scale * mean.value, low, high))
    return found


def about(row: Row, results: Mapping[int, Result]) -> dict[str, Any]:
    """How a row was trained and how long that took, for the notes under the table."""
    evaluator = row.config.evaluator
    return {
        "method": row.name,
        "seeds": list(results),
        "outer_steps": evaluator.budget,
        "tasks_per_step": evaluator.options.get("tasks_per_step"),
        "rates": [result.rate for result in results.values() if result.rate is not None],
        "train_seconds": [round(result.train_seconds, 1) for result in results.values()],
        "seconds": [round(result.seconds, 1) for result in results.values()],
        "source": row.table.source,
    }


def text(document: Mapping[str, Any]) -> str:
    """The table for people."""
    number = "{:.3f}" if document["measure"] == "mean squared error" else "{:.2f}"
    kept = [f"{document['title']}: {document['measure']}. {document['note']}", ""]
    kept.append(f"{'method':<40}{'inner steps':>12}{'published':>11}{'ours':>9}   95 % interval")
    for line in document["lines"]:
        published = "" if line["published"] is None else f"{line['published']:g}"
        value, low, high = (number.format(line[key]) for key in ("value", "low", "high"))
        kept.append(f"{line['title']:<40}{line['steps']:>12}{published:>11}{value:>9}   {low} – {high}")
    kept.append("")
    for row in document["rows"]:
        took = " + ".join(f"{seconds:.0f}" for seconds in row["seconds"])
        rates = f"; tuned inner rate {', '.join(f'{rate:g}' for rate in row['rates'])}" if row["rates"] else ""
        seeds = " ".join(map(str, row["seeds"]))
        kept.append(
            f"{row['method']}: {row['outer_steps']:,} outer steps of {row['tasks_per_step']} tasks, seeds {seeds}, "
            f"{took} s{rates}. {row['source']}".rstrip()
        )
    if any(len(row["seeds"]) < 3 for row in document["rows"]):
        kept.append("Intervals of fewer than three seeds are over tasks alone, for these trainings.")
    described = " · ".join(f"{key} {value}" for key, value in document["machine"].items())
    return "\n".join([*kept, "", f"Machine: {described}"])


def main(name: str, title: str, arguments: Sequence[str] | None = None, *, data: bool = False) -> None:
    """Runs the reproduction `name`: every row with every seed, then the table. `data`: its tasks need a path."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser(name, title, data)
    options = parser.parse_args(arguments)
    goes_on = f"interrupted; the same command goes on from what is in {options.work}"
    with explained(parser.prog, interrupted=goes_on):
        document = _run(name, title, options)
        shown = text(document)
        print(json.dumps(document) if options.json else shown)
        if options.out:
            command = shlex.join(["python", "-m", f"nas.experiments.reproduce.{name}", *arguments])
            options.out.write_text(f"$ {command}\n{shown}\n", encoding="utf-8")


def _parser(name: str, title: str, data: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m nas.experiments.reproduce.{name}", description=title)
    parser.add_argument("--schedule", help="of the settings; the first one when not given")
    parser.add_argument("--methods", default="", help="rows to measure, with commas between them; all when not given")
    parser.add_argument("--only-seed", type=whole(0), help="instead of all seeds of the settings")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--work", type=Path, default=Path(f"work-{name}"), help="folder of finished results")
    parser.add_argument("--settings", type=Path, help="a TOML file in place of the one that comes with the package")
    parser.add_argument("--out", type=output, help="also write the table to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    if data:
        parser.add_argument("--path", required=True, help="where the data is, as `tasks.path` of a config")
    return parser


def _run(name: str, title: str, options: argparse.Namespace) -> dict[str, Any]:
    settings = load(name, options.settings)
    schedule = options.schedule or next(iter(settings.schedules))
    seeds = settings.seeds if options.only_seed is None else [options.only_seed]
    given = {"path": options.path} if "path" in options else {}
    methods = [method for method in options.methods.split(",") if method]
    chosen = rows(settings, schedule, methods=methods, device=options.device, given=given)
    for row in chosen:
        configs.build(row.config).measurer.tasks.check()
    options.work.mkdir(parents=True, exist_ok=True)
    found: list[Line] = []
    notes = []
    for row in chosen:
        results = {}
        for seed in seeds:
            results[seed] = measured(row, seed, options.work)
            print(f"{row.name}, seed {seed}: {results[seed].seconds:.0f} s", file=sys.stderr, flush=True)
        regression = configs.build(row.config).measurer.tasks.name == "sinusoid"
        found += lines(row, results, regression=regression)
        notes.append(about(row, results))
    test = settings.test
    return {
        "title": title,
        "measure": "mean squared error" if regression else "accuracy in %",
        "note": f"{settings.schedules[schedule].note} Measured on {test.tasks} test tasks of {test.queries} queries "
        f"{'each' if regression else 'a class'}.",
        "schedule": schedule,
        "lines": [asdict(line) for line in found],
        "rows": notes,
        "machine": {**machine(), **_accelerator(options.device)},
    }


def _accelerator(device: str) -> dict[str, str]:
    found = device_of(device)
    return {"device": torch.cuda.get_device_name(found) if found.type == "cuda" else "cpu"}
