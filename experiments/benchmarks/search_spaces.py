"""Benchmark of the NAS-Bench spaces: samples, mutations and canonical keys a second, without building networks.

    python -m nas.experiments.benchmarks.search_spaces [--json] [--out FILE]

Times are processor time on one core; each rate is the best of some rounds. Enumerations also count the cells.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from nas.architecture import Architecture
from nas.search_spaces import NasBench101, NasBench201
from nas.search_spaces.nas_bench_101.space import unique_cells
from nas.search_spaces.nas_bench_101.spec import Cell
from nas.space import enumerate_all, mutate, replay, sample
from nas.space.graph import canonical

from ..command_line import add_output_options, explained, machine, machine_line, print_benchmark, whole


@dataclass(frozen=True)
class Row:
    """Measured rate or time.

    Attributes:
        work: Name in the table.
        value: Rate or time.
        unit: "/s" of a rate, where more is better; "s" of a time, where less is.
        target: Target of the value; None without a target.
        met: Whether the target was met; None without a target.
        counted: Number of different cells; None if they were not counted.
    """

    work: str
    value: float
    unit: str
    target: float | None
    met: bool | None
    counted: int | None = None


def rate(work: str, target: float, number: int, rounds: int, act: Callable[[], object]) -> Row:
    """The rate of a work that `act` does `number` times."""
    best = max(number / _seconds(act) for _ in range(rounds))
    return Row(work, best, "/s", target, best >= target)


def samples(number: int, rounds: int) -> Row:
    """The rate of random samples."""
    space, rng = NasBench201(), random.Random(0)

    def act() -> None:
        for _ in range(number):
            sample(space, rng)

    return rate("samples of nas-bench-201", 20_000, number, rounds, act)


def mutations(number: int, rounds: int) -> Row:
    """The rate of mutations, in a chain in which each child is the next parent, as in evolution."""
    space, rng = NasBench201(), random.Random(0)

    def act() -> None:
        architecture = sample(space, rng)
        for _ in range(number):
            architecture = mutate(space, architecture, rng)

    return rate("mutations in nas-bench-201", 20_000, number, rounds, act)


def keys(number: int, rounds: int) -> Row:
    """The rate of canonical keys of cells, including that of making their graphs.

    Random cells seldom have all vertices, so at most 500 such cells are used in turn.
    """
    space, rng, cells = NasBench101(), random.Random(0), list[Cell]()
    while len(cells) < min(number, 500):
        cell = replay(space, sample(space, rng))
        if len(cell.operations) == space.max_vertices - 2:
            cells.append(cell)

    def act() -> None:
        for cell in itertools.islice(itertools.cycle(cells), number):
            canonical(space.graph(cell))

    return rate("keys of 7-vertex cells of nas-bench-101", 3_000, number, rounds, act)


def all_of_201() -> Row:
    """The time of enumerating the cells of nas-bench-201 with their keys."""
    space, unique = NasBench201(published=True), set[str]()
    architectures: list[Architecture] = []

    def act() -> None:
        for architecture in enumerate_all(space):
            architectures.append(architecture)
            unique.add(canonical(space.graph(replay(space, architecture))))

    seconds = _seconds(act)
    return Row(f"{len(architectures):,} cells of nas-bench-201", seconds, "s", 10.0, seconds < 10, len(unique))


def all_of_101(max_vertices: int) -> Row:
    """The time of enumerating the different cells of nas-bench-101; the target is for at most 6 vertices."""
    cells: list[Cell] = []
    seconds = _seconds(lambda: cells.extend(unique_cells(max_vertices)))
    target = 300.0 if max_vertices <= 6 else None
    work = f"cells of nas-bench-101 up to {max_vertices} vertices"
    return Row(work, seconds, "s", target, None if target is None else seconds < target, len(cells))


def _seconds(act: Callable[[], object]) -> float:
    """Processor time of a call, which depends less than elapsed time on other load of the machine."""
    began = time.process_time()
    act()
    return time.process_time() - began


def text(about: Mapping[str, object], rows: Sequence[Row]) -> str:
    """The table for people; `about` describes the machine."""
    lines = [machine_line(about)]
    for row in rows:
        target = "" if row.target is None else f"target {row.target:,g} {row.unit}"
        verdict = {True: "met", False: "NOT MET", None: ""}[row.met]
        counted = "" if row.counted is None else f"{row.counted:,} differ"
        lines.append(f"{row.work:<46}{row.value:>12,.1f} {row.unit:<4}{target:<20}{verdict:<9}{counted}".rstrip())
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Measures the spaces of NAS-Bench, without building networks.")
    parser.add_argument("--number", type=whole(1), default=5_000, help="samples, mutations and keys of a round")
    parser.add_argument("--rounds", type=whole(1), default=3)
    parser.add_argument("--max-vertices", type=whole(2), default=6, help="of the cells of nas-bench-101 to enumerate")
    add_output_options(parser)
    options = parser.parse_args()
    number, rounds = options.number, options.rounds
    with explained("search_spaces"):
        about = machine()
        rows = [
            *(measure(number, rounds) for measure in (samples, mutations, keys)),
            all_of_201(),
            all_of_101(options.max_vertices),
        ]
        print_benchmark(options, text(about, rows), {"machine": about, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
