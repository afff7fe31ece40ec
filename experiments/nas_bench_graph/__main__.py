"""Comparison of controllers on NAS-Bench-Graph (Qin et al., arXiv 2206.09166) by their mean rank on nine data sets.

    python -m nas.experiments.nas_bench_graph --bench FOLDER [--controllers a,b,random] [--seeds 50] [--out TXT]

FOLDER holds the NAME.bench files of the package nas-bench-graph: its folder `light`, after `pip download --no-deps
nas-bench-graph` and unzip. They are pickles, which are not unpickled: `pickled_numbers.py` reads their numbers without
executing anything, and the study writes them to the work folder as NAME.csv, for the evaluator `tabular`.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from nas import compare, config
from nas.analysis.comparison import Result
from nas.cli.progress import TerminalProgress
from nas.config import Config
from nas.errors import INTERRUPTED, DataError

from ..command_line import add_output_options, explained, machine, machine_line, resumable, whole
from .pickled_numbers import read_numbers

LINKS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
"""Non-isomorphic inputs of the four nodes: 0 is the graph itself, 1 the first node, … A key of the benchmark has
five digits: an index into LINKS, then four into OPERATIONS."""
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
CHOICES = ("link", "op1", "op2", "op3", "op4")
NUMBERS = ("valid_perf", "perf", "latency", "para")


def write_table(bench: Path, path: Path) -> None:
    """Write the architectures of a .bench file, with their numbers, as CSV.

    Args:
        bench: The .bench file.
        path: CSV file to write.

    Raises:
        DataError: The file cannot be read or is not a .bench file.
    """
    entries = read_numbers(bench)
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*CHOICES, *NUMBERS])
        for key, numbers in entries.items():
            if not isinstance(numbers, dict) or not set(NUMBERS) <= numbers.keys():
                raise DataError(f"{bench}: entry {key!r} has not the numbers {', '.join(NUMBERS)}; download it again")
            link, *operations = (int(digit) for digit in f"{key:05d}")
            row = [LINKS[link], *(OPERATIONS[number] for number in operations)]
            writer.writerow([*row, *(numbers[name] for name in NUMBERS)])
    unfinished.replace(path)


def study(table: Path, trials: int) -> Config:
    """The config of a search of one data set: scores are validation accuracies, and test accuracies are reported.

    Regularized evolution has a population of 10 and tournaments of 3, because with its default population of 100 the
    whole search would be random.

    Args:
        table: CSV file of the data set.
        trials: Trials of a search.
    """
    evaluator = {"name": "tabular", "path": str(table), "score": "valid_perf", "report": "perf"}
    return config.from_json(
        {
            "space": {"name": f"table:{table}", "choices": list(CHOICES)},
            "controller": {"name": "evolution"},
            "evaluator": evaluator,
            "search": {"trials": trials},
            "compare": {"regularized-evolution": {"population": 10, "tournament": 3}},
        }
    )


@dataclass(frozen=True)
class Entry:
    """Mean test accuracy of a controller on one data set, and its mean rank, over seeds."""

    mean: float
    rank: float


@dataclass(frozen=True)
class Comparison:
    """Comparison of controllers.

    Attributes:
        data_sets: Entry of each controller, by data set.
        mean_rank: Mean rank of each controller over data sets.
    """

    data_sets: Mapping[str, Mapping[str, Entry]]
    mean_rank: Mapping[str, float]


def ranks(results: Mapping[str, Sequence[Result]]) -> dict[str, float]:
    """The mean over seeds of each controller's rank by reported accuracy, from 1; equal ones share the mean rank."""
    by_label: dict[str, list[float]] = {label: [] for label in results}
    for of_seed in zip(*results.values(), strict=True):
        values = [result.reported for result in of_seed]
        for label, value in zip(results, values, strict=True):
            better, equal = sum(v > value for v in values), sum(v == value for v in values)
            by_label[label].append(1 + better + (equal - 1) / 2)
    return {label: fmean(of_label) for label, of_label in by_label.items()}


def comparison(results: Mapping[str, Mapping[str, Sequence[Result]]]) -> Comparison:
    """Means and mean ranks of results by data set and controller."""
    data_sets = {}
    for name, of_set in results.items():
        rank = ranks(of_set)
        data_sets[name] = {
            label: Entry(fmean(result.reported for result in of_label), rank[label])
            for label, of_label in of_set.items()
        }
    labels = next(iter(data_sets.values()))
    return Comparison(
        data_sets, {label: fmean(entries[label].rank for entries in data_sets.values()) for label in labels}
    )


def text(result: Comparison) -> str:
    """The table for people: test accuracy in % and mean rank of each controller, a row for each data set."""
    labels = sorted(result.mean_rank, key=result.mean_rank.__getitem__)
    widths = [max(14, len(label) + 2) for label in labels]

    def row(head: str, cells: Iterable[str]) -> str:
        return f"{head:<14}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))

    lines = [row("% (mean rank)", labels)]
    for name, entries in result.data_sets.items():
        lines.append(row(name, (f"{100 * entries[label].mean:.2f} ({entries[label].rank:.2f})" for label in labels)))
    lines.append(row("mean rank", (f"{result.mean_rank[label]:.3f}" for label in labels)))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m nas.experiments.nas_bench_graph", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--bench", type=Path, required=True, help="folder of the NAME.bench files")
    parser.add_argument("--controllers", default="evolution,reinforce,regularized-evolution,random")
    parser.add_argument("--seeds", type=whole(1), default=50)
    parser.add_argument("--trials", type=whole(1), default=100, help="evaluations of each search")
    parser.add_argument("--work", type=Path, default=Path("work-nas-bench-graph"), help="folder of finished searches")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained(parser.prog, interrupted=resumable(options.work)):
        results = _run(options)
    if results is None:
        raise SystemExit(INTERRUPTED)
    result, about = comparison(results), machine()
    print(json.dumps({**asdict(result), "machine": about}) if options.json else text(result))
    if options.out:
        budget = f"{options.trials} evaluations, {options.seeds} seeds"
        options.out.write_text(f"{machine_line(about)}\n{budget}\n{text(result)}\n", encoding="utf-8")


def _run(options: argparse.Namespace) -> dict[str, dict[str, list[Result]]] | None:
    """Results by data set and controller; None after an interrupt."""
    benches = sorted(options.bench.glob("*.bench"))
    if not benches:
        raise DataError(f"{options.bench} holds no NAME.bench; give the folder `light` of the package")
    options.work.mkdir(parents=True, exist_ok=True)
    by_data_set = {}
    for bench in benches:
        table = options.work / f"{bench.stem}.csv"
        if not table.exists():
            write_table(bench, table)
        sys.stderr.write(f"{bench.stem}\n")
        with TerminalProgress().shown() as progress:
            results = compare.compare(
                study(table, options.trials),
                options.controllers.split(","),
                options.seeds,
                options.work / bench.stem,
                progress,
            )
        if results is None:
            return None
        by_data_set[bench.stem] = results
    return by_data_set


if __name__ == "__main__":
    main()
