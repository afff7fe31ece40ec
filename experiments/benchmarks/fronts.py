"""How much of the trade-off between score and a cost searches of equal budget dominate, on a table that others made.

    python -m nas.experiments.benchmarks.fronts [--path NPZ] [--dataset cifar10] [--cost params_m] [--score val]
        [--epochs 12] [--trials 100] [--seeds 20] [--json] [--out TXT]

The table is of nas-bench-201; without `--path` there is an artificial one of its cells. The hypervolume is a part of
that of the whole table's front, once with the cost as it is and once with its logarithm; the reference is the worst of
the table.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from nas import registry
from nas.analysis import pareto
from nas.architecture import Architecture
from nas.evaluators import Tabular
from nas.protocols import SearchSpace
from nas.search_spaces.nas_bench_201.space import NasBench201
from nas.space import enumerate_all
from nas.trial import Score, Trial

from ..command_line import explained, output, whole

CONTROL = "random"
Look = Callable[[Architecture], Score]


@dataclass(frozen=True)
class Contender:
    """A controller and its options but for the objectives, which it has where `several` says so."""

    controller: str
    several: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        options = [f"{key}={value}" for key, value in self.options.items()]
        return " ".join([self.controller, *(["objectives"] if self.several else []), *options])


SET = (
    Contender(CONTROL),
    Contender("regularized-evolution", options={"population": 10, "tournament": 3}),
    Contender("evolution"),
    Contender("evolution", several=True),
    Contender("evolution", several=True, options={"fresh": 0.3}),
    Contender("evolution", several=True, options={"pool": 1, "fresh": 0.0}),
)


@dataclass(frozen=True)
class Row:
    """Means over seeds of the parts dominated, and how much more than the control, with half the 95 % interval."""

    name: str
    plain: float
    plain_more: tuple[float, float]
    logarithm: float
    logarithm_more: tuple[float, float]


def artificial(architecture: Architecture) -> Score:
    """Of each choice its own part of score and cost; what scores more costs more, more or less."""
    gains = {name: random.Random(f"{name}/{pick}").random() for name, pick in architecture.picks.items()}
    cost = sum(gain**2 + 0.3 * random.Random(f"{name} costs").random() for name, gain in gains.items())
    return Score(sum(gains.values()), 0.0, metrics={"cost": cost})


def points(scores: Sequence[Score], cost: str) -> tuple[pareto.Array, pareto.Array]:
    """(scores, 2) of the score and minus the cost, or minus its logarithm."""
    plain = np.array([[score.value, -score.metrics[cost]] for score in scores])
    return plain, np.stack([plain[:, 0], -np.log(-plain[:, 1])], axis=1)


def searched(contender: Contender, space: SearchSpace, look: Look, cost: str, trials: int, seed: int) -> list[Score]:
    """The scores of one search, in order."""
    options = {**contender.options, **({"objectives": [cost]} if contender.several else {})}
    controller = registry.create("controller", contender.controller, options, space=space, seed=seed)
    scores: list[Score] = []
    while len(scores) < trials and (asked := controller.ask(1)):
        scores.append(look(asked[0]))
        controller.tell([Trial(len(scores) - 1, asked[0], 1, seed, "done", scores[-1])])
    return scores


def measure(space: SearchSpace, look: Look, cost: str, trials: int, seeds: int) -> list[Row]:
    """A row for each contender, differences paired by seed."""
    tables = points([look(architecture) for architecture in enumerate_all(space)], cost)
    wholes = [(table.min(axis=0), pareto.hypervolume(table, table.min(axis=0))) for table in tables]

    def parts(contender: Contender, seed: int) -> list[float]:
        found = points(searched(contender, space, look, cost, trials, seed), cost)
        return [pareto.hypervolume(p, worst) / of for p, (worst, of) in zip(found, wholes, strict=True)]

    results = {contender.name: np.array([parts(contender, seed) for seed in range(seeds)]) for contender in SET}
    rows = []
    for name, values in results.items():
        more = [_mean(differences) for differences in (values - results[CONTROL]).T.tolist()]
        plain, logarithm = values.mean(axis=0).tolist()
        rows.append(Row(name, plain, more[0], logarithm, more[1]))
    return rows


def text(rows: Sequence[Row], title: str) -> str:
    """The rows as a table, for people."""
    width = max(len(row.name) for row in rows) + 2
    lines = [
        title,
        f"{'':<{width}}{'hypervolume':>12}{'more than random':>22}{'of log cost':>14}{'more than random':>22}",
    ]
    for row in rows:
        told = [f"{mean:+.4f} ± {half:.4f}" for mean, half in (row.plain_more, row.logarithm_more)]
        lines.append(f"{row.name:<{width}}{row.plain:>12.4f}{told[0]:>22}{row.logarithm:>14.4f}{told[1]:>22}")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> tuple[float, float]:
    return fmean(values), 1.96 * stdev(values) / math.sqrt(len(values))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--cost", default="params_m")
    parser.add_argument("--score", default="val")
    parser.add_argument("--epochs", type=whole(1), default=12)
    parser.add_argument("--trials", type=whole(1), default=100)
    parser.add_argument("--seeds", type=whole(2), default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=output)
    given = parser.parse_args(arguments)
    space = NasBench201(published=True)
    with explained("fronts"):
        if given.path is None:
            rows = measure(space, artificial, "cost", given.trials, given.seeds)
        else:
            table = Tabular(space, given.path, dataset=given.dataset, score=given.score, metrics=(given.cost,))
            rows = measure(space, lambda a: table.evaluate(a, given.epochs, 0), given.cost, given.trials, given.seeds)
    about = (
        f"{given.path.name if given.path else 'artificial'}: {given.trials} trials, {given.seeds} seeds, mean ± 95 %"
    )
    shown = text(rows, about)
    if given.out:
        given.out.write_text(shown + "\n", encoding="utf-8")
    sys.stdout.write((json.dumps([asdict(row) for row in rows]) if given.json else shown) + "\n")


if __name__ == "__main__":
    main()
