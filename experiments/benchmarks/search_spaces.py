"""What can be done with the spaces of NAS-Bench in a second, on one core and without building a network.

    python -m nas.experiments.benchmarks.search_spaces [--json] [--out FILE]

Seconds are the processor's; each rate is the best of some rounds. Cells are counted on the way.
"""

from __future__ import annotations

import argparse
import itertools
import json
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

from ..command_line import explained, machine, output, whole


@dataclass(frozen=True)
class Row:
    """A measured rate (`unit` ends in /s, more is better) or time (s, less is better), and its target if it has one.

    counted  how many cells were found to differ, where they were counted
    """

    work: str
    value: float
    unit: str
    target: float | None
    met: bool | None
    counted: int | None = None


def rate(work: str, target: float, number: int, rounds: int, act: Callable[[], object]) -> Row:
    """`act` does the work `number` times."""
    best = max(number / _seconds(act) for _ in range(rounds))
    return Row(work, best, "/s", target, best >= target)


def samples(number: int, rounds: int) -> Row:
    space, rng = NasBench201(), random.Random(0)

    def act() -> None:
        for _ in range(number):
            sample(space, rng)

    return rate("samples of nas-bench-201", 20_000, number, rounds, act)


def mutations(number: int, rounds: int) -> Row:
    """A chain of them, as in evolution: each parent was a child."""
    space, rng = NasBench201(), random.Random(0)

    def act() -> None:
        architecture = sample(space, rng)
        for _ in range(number):
            architecture = mutate(space, architecture, rng)

    return rate("mutations in nas-bench-201", 20_000, number, rounds, act)


def keys(number: int, rounds: int) -> Row:
    """From the cell to its key: the graph is made too. Random cells seldom have all vertices, so a few take turns."""
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
    space, found = NasBench201(published=True), set[str]()
    architectures: list[Architecture] = []

    def act() -> None:
        for architecture in enumerate_all(space):
            architectures.append(architecture)
            found.add(canonical(space.graph(replay(space, architecture))))

    seconds = _seconds(act)
    return Row(f"{len(architectures):,} cells of nas-bench-201", seconds, "s", 10.0, seconds < 10, len(found))


def all_of_101(max_vertices: int) -> Row:
    """The target is for 6 vertices, and larger ones have none."""
    found: list[Cell] = []
    seconds = _seconds(lambda: found.extend(unique_cells(max_vertices)))
    target = 300.0 if max_vertices <= 6 else None
    work = f"cells of nas-bench-101 up to {max_vertices} vertices"
    return Row(work, seconds, "s", target, None if target is None else seconds < target, len(found))


def _seconds(act: Callable[[], object]) -> float:
    """The processor's seconds: whoever else is at work on the machine then matters less."""
    began = time.process_time()
    act()
    return time.process_time() - began


def text(about: Mapping[str, object], rows: Sequence[Row]) -> str:
    """The rows as a table, for people."""
    lines = [" · ".join(f"{key} {value}" for key, value in about.items())]
    for row in rows:
        target = "" if row.target is None else f"target {row.target:,g} {row.unit}"
        verdict = {True: "met", False: "NOT MET", None: ""}[row.met]
        counted = "" if row.counted is None else f"{row.counted:,} differ"
        lines.append(f"{row.work:<46}{row.value:>12,.1f} {row.unit:<4}{target:<20}{verdict:<9}{counted}".rstrip())
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the spaces of NAS-Bench, without building networks.")
    parser.add_argument("--number", type=whole(1), default=5_000, help="samples, mutations and keys of a round")
    parser.add_argument("--rounds", type=whole(1), default=3)
    parser.add_argument("--max-vertices", type=whole(2), default=6, help="of the cells of nas-bench-101 to enumerate")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--out", type=output, help="a file for what is printed")
    arguments = parser.parse_args()
    number, rounds = arguments.number, arguments.rounds
    with explained("search_spaces"):
        about = machine()
        rows = [
            *(measure(number, rounds) for measure in (samples, mutations, keys)),
            all_of_201(),
            all_of_101(arguments.max_vertices),
        ]
        shown = text(about, rows)
        if arguments.json:
            shown = json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, ensure_ascii=False)
        print(shown)
        if arguments.out:
            arguments.out.write_text(shown + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
