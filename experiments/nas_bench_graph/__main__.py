"""Controllers on NAS-Bench-Graph (Qin et al., arXiv 2206.09166): graph networks on nine data sets, by their mean rank.

    python -m nas.experiments.nas_bench_graph --bench FOLDER [--controllers a,b,random] [--seeds 50] [--out TXT]

FOLDER holds the NAME.bench files of the package nas-bench-graph (its folder `light`; `pip download --no-deps
nas-bench-graph` and unzip). They are pickles, and are not unpickled: the numbers are picked out of them without running
anything (`pickled_numbers.py`), and written to the work folder as NAME.csv, which the evaluator `tabular` reads.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from nas import compare, config
from nas.analysis.comparison import Result
from nas.cli.progress import TerminalProgress
from nas.config import Config
from nas.errors import DataError

from ..command_line import explained, machine, output, whole
from .pickled_numbers import read_numbers

LINKS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
"""The input of each of the four nodes: 0 is the graph itself, 1 the first node. Those that are not isomorphic. A key of
the benchmark has five digits: the number of the link, then those of the operations."""
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
CHOICES = ("link", "op1", "op2", "op3", "op4")
NUMBERS = ("valid_perf", "perf", "latency", "para")


def write_table(bench: Path, path: Path) -> None:
    """Writes the architectures of a .bench file, with their numbers, as CSV. Raises DataError for any other file."""
    entries = read_numbers(bench)
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*CHOICES, *NUMBERS])
        for key, numbers in entries.items():
            if not isinstance(numbers, dict) or not set(NUMBERS) <= numbers.keys():
                raise DataError(f"{bench}: entry {key!r} has not the numbers {', '.join(NUMBERS)}")
            link, *operations = (int(digit) for digit in f"{key:05d}")
            row = [LINKS[link], *(OPERATIONS[number] for number in operations)]
            writer.writerow([*row, *(numbers[name] for name in NUMBERS)])
    unfinished.replace(path)


def study(table: Path, trials: int) -> Config:
    """A search of one data set: scores are validation accuracies, and test accuracies are reported.

    Regularized evolution is 10/3: with its own population of 100 it would be random search."""
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


def ranks(results: Mapping[str, Sequence[Result]]) -> dict[str, float]:
    """The mean over seeds of each controller's rank by what is reported, from 1; equals share theirs."""
    found: dict[str, list[float]] = {label: [] for label in results}
    for row in zip(*results.values(), strict=True):
        values = [result.reported for result in row]
        for label, value in zip(results, values, strict=True):
            found[label].append(1 + sum(v > value for v in values) + (sum(v == value for v in values) - 1) / 2)
    return {label: fmean(mine) for label, mine in found.items()}


def document(found: Mapping[str, Mapping[str, Sequence[Result]]]) -> dict[str, Any]:
    """Means and mean ranks by data set and controller."""
    sets = {
        name: {
            label: {"mean": fmean(result.reported for result in mine), "rank": ranks(results)[label]}
            for label, mine in results.items()
        }
        for name, results in found.items()
    }
    labels = next(iter(sets.values()))
    overall = {label: fmean(entry[label]["rank"] for entry in sets.values()) for label in labels}
    return {"data_sets": sets, "mean_rank": overall}


def text(told: Mapping[str, Any]) -> str:
    """A table: a row for each data set, the test accuracy in % and the mean rank of each controller."""
    labels = sorted(told["mean_rank"], key=told["mean_rank"].__getitem__)
    widths = [max(14, len(label) + 2) for label in labels]
    lines = [f"{'% (mean rank)':<14}" + "".join(f"{label:>{w}}" for label, w in zip(labels, widths, strict=True))]
    for name, entries in told["data_sets"].items():
        cells = [f"{100 * entries[label]['mean']:.2f} ({entries[label]['rank']:.2f})" for label in labels]
        lines.append(f"{name:<14}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True)))
    last = (f"{told['mean_rank'][label]:.3f}" for label in labels)
    lines.append(f"{'mean rank':<14}" + "".join(f"{cell:>{w}}" for cell, w in zip(last, widths, strict=True)))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m nas.experiments.nas_bench_graph", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--bench", type=Path, required=True, help="folder of the NAME.bench files")
    parser.add_argument("--controllers", default="evolution,reinforce,regularized-evolution,random")
    parser.add_argument("--seeds", type=whole(1), default=50)
    parser.add_argument("--trials", type=whole(1), default=100, help="evaluations of each search")
    parser.add_argument("--work", type=Path, default=Path("work-nas-bench-graph"), help="folder of finished searches")
    parser.add_argument("--out", type=output, help="also write the table to this file")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    with explained(parser.prog, interrupted=f"interrupted; the same command goes on from what is in {options.work}"):
        found = _found(options)
    if found is None:
        raise SystemExit(130)
    told = {**document(found), "machine": machine()}
    print(json.dumps(told) if options.json else text(told))
    if options.out:
        about = " · ".join(f"{key} {value}" for key, value in machine().items())
        budget = f"{options.trials} evaluations, {options.seeds} seeds"
        options.out.write_text(f"{about}\n{budget}\n{text(told)}\n", encoding="utf-8")


def _found(options: argparse.Namespace) -> dict[str, dict[str, list[Result]]] | None:
    benches = sorted(options.bench.glob("*.bench"))
    if not benches:
        raise DataError(f"{options.bench} holds no NAME.bench; give the folder `light` of the package")
    options.work.mkdir(parents=True, exist_ok=True)
    found = {}
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
        found[bench.stem] = results
    return found


if __name__ == "__main__":
    main()
