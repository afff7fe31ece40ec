"""Benchmark of multi-objective searches: hypervolume of score and a cost at equal budget, on a published table.

    python -m nas.experiments.benchmarks.fronts [--path NPZ] [--dataset cifar10] [--cost params_m] [--score val]
        [--epochs 12] [--trials 100] [--seeds 20] [--json] [--out TXT]

The table is of nas-bench-201; without `--path` it is an artificial one of the same cells. A hypervolume is given as a
part of that of the whole table's Pareto front, once with the cost and once with its logarithm; the reference point has
the worst score and cost of the table.
"""

from __future__ import annotations

import argparse
import json
import math
import random
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

from ..command_line import add_output_options, explained, whole

CONTROL = "random"
"""Controller that the others are compared with."""
LookUp = Callable[[Architecture], Score]


@dataclass(frozen=True)
class Contender:
    """Controller with options.

    Attributes:
        controller: Its name.
        multi_objective: Whether its objectives are the score and the cost; otherwise it optimises the score alone.
        options: Its other options.
    """

    controller: str
    multi_objective: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in the table."""
        options = [f"{key}={value}" for key, value in self.options.items()]
        return " ".join([self.controller, *(["objectives"] if self.multi_objective else []), *options])


SET = (
    Contender(CONTROL),
    Contender("regularized-evolution", options={"population": 10, "tournament": 3}),
    Contender("evolution"),
    Contender("evolution", multi_objective=True),
    Contender("evolution", multi_objective=True, options={"fresh": 0.3}),
    Contender("evolution", multi_objective=True, options={"pool": 1, "fresh": 0.0}),
)


@dataclass(frozen=True)
class Row:
    """Hypervolumes of a controller, as parts of the whole table's.

    Attributes:
        name: Name in the table.
        plain: Mean over seeds.
        plain_more: Mean difference from the control, and half the width of its 95 % interval.
        logarithm: As `plain`, with the logarithm of the cost.
        logarithm_more: As `plain_more`, with the logarithm of the cost.
    """

    name: str
    plain: float
    plain_more: tuple[float, float]
    logarithm: float
    logarithm_more: tuple[float, float]


def artificial(architecture: Architecture) -> Score:
    """An artificial score and cost: each pick adds to both, and picks of a higher score tend to cost more."""
    gains = {name: random.Random(f"{name}/{pick}").random() for name, pick in architecture.picks.items()}
    cost = sum(gain**2 + 0.3 * random.Random(f"{name} costs").random() for name, gain in gains.items())
    return Score(sum(gains.values()), 0.0, metrics={"cost": cost})


def points(scores: Sequence[Score], cost: str) -> tuple[pareto.Array, pareto.Array]:
    """The score and minus the cost, (scores, 2), and the same with minus its logarithm."""
    plain = np.array([[score.value, -score.metrics[cost]] for score in scores])
    return plain, np.stack([plain[:, 0], -np.log(-plain[:, 1])], axis=1)


def searched(
    contender: Contender, space: SearchSpace, look_up: LookUp, cost: str, trials: int, seed: int
) -> list[Score]:
    """The scores of one search, in order.

    Args:
        contender: Controller to search with.
        space: Space to search.
        look_up: Function that returns an architecture's score and cost.
        cost: Name of the cost among the score's metrics.
        trials: Number of trials.
        seed: Seed of the controller.
    """
    options = {**contender.options, **({"objectives": [cost]} if contender.multi_objective else {})}
    controller = registry.create("controller", contender.controller, options, space=space, seed=seed)
    scores: list[Score] = []
    while len(scores) < trials and (candidates := controller.ask(1)):
        scores.append(look_up(candidates[0]))
        controller.tell([Trial(len(scores) - 1, candidates[0], 1, seed, "done", scores[-1])])
    return scores


def measure(space: SearchSpace, look_up: LookUp, cost: str, trials: int, seeds: int) -> list[Row]:
    """A row for each contender, with differences paired by seed; the arguments are those of `searched`."""
    tables = points([look_up(architecture) for architecture in enumerate_all(space)], cost)
    references = [table.min(axis=0) for table in tables]
    wholes = [pareto.hypervolume(*pair) for pair in zip(tables, references, strict=True)]

    def parts(contender: Contender, seed: int) -> list[float]:
        fronts = points(searched(contender, space, look_up, cost, trials, seed), cost)
        return [
            pareto.hypervolume(front, reference) / whole
            for front, reference, whole in zip(fronts, references, wholes, strict=True)
        ]

    results = {contender.name: np.array([parts(contender, seed) for seed in range(seeds)]) for contender in SET}
    rows = []
    for name, values in results.items():
        more = [_mean_and_margin(differences) for differences in (values - results[CONTROL]).T.tolist()]
        plain, logarithm = values.mean(axis=0).tolist()
        rows.append(Row(name, plain, more[0], logarithm, more[1]))
    return rows


def text(rows: Sequence[Row], title: str) -> str:
    """The table for people."""
    width = max(len(row.name) for row in rows) + 2
    lines = [
        title,
        f"{'':<{width}}{'hypervolume':>12}{'more than random':>22}{'of log cost':>14}{'more than random':>22}",
    ]
    for row in rows:
        more = [f"{mean:+.4f} ± {margin:.4f}" for mean, margin in (row.plain_more, row.logarithm_more)]
        lines.append(f"{row.name:<{width}}{row.plain:>12.4f}{more[0]:>22}{row.logarithm:>14.4f}{more[1]:>22}")
    return "\n".join(lines)


def _mean_and_margin(values: Sequence[float]) -> tuple[float, float]:
    return fmean(values), 1.96 * stdev(values) / math.sqrt(len(values))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--cost", default="params_m")
    parser.add_argument("--score", default="val")
    parser.add_argument("--epochs", type=whole(1), default=12)
    parser.add_argument("--trials", type=whole(1), default=100)
    parser.add_argument("--seeds", type=whole(2), default=20)
    add_output_options(parser)
    options = parser.parse_args(arguments)
    space = NasBench201(published=True)
    with explained("fronts"):
        look_up: LookUp = artificial if options.path is None else _table(space, options)
        name, cost = ("artificial", "cost") if options.path is None else (options.path.name, options.cost)
        rows = measure(space, look_up, cost, options.trials, options.seeds)
    table = text(rows, f"{name}: {options.trials} trials, {options.seeds} seeds, mean ± 95 %")
    if options.out:
        options.out.write_text(table + "\n", encoding="utf-8")
    print(json.dumps([asdict(row) for row in rows]) if options.json else table)


def _table(space: NasBench201, options: argparse.Namespace) -> LookUp:
    table = Tabular(space, options.path, dataset=options.dataset, score=options.score, metrics=(options.cost,))
    return lambda architecture: table.evaluate(architecture, options.epochs, 0)


if __name__ == "__main__":
    main()
