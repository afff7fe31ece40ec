"""Fitness of several objectives by Pareto front and crowding distance, as in NSGA-II."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nas.analysis import pareto
from nas.analysis.pareto_front import check_costs
from nas.trial import Trial

from .operators import Fitness


def point(trial: Trial, costs: Sequence[str]) -> tuple[float, ...]:
    """Objectives of a trial, all to be maximised: its score, and minus each cost.

    Args:
        trial: A scored trial.
        costs: Names of the costs among the metrics of the score.

    Returns:
        (score, -cost, …), 1 + len(costs) numbers.

    Raises:
        ConfigError: The score lacks one of the costs.
    """
    metrics = trial.score.metrics if trial.score is not None else {}
    check_costs(costs, metrics)
    return trial.value, *(-float(metrics[cost]) for cost in costs)


def by_fronts(*costs: str) -> Fitness:
    """Fitness by Pareto front and, within a front, by crowding distance.

    Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002), section III. A trial with a
    cost that is not finite is the worst.

    Args:
        costs: Names of the costs to be minimised beside the score, among the scores' metrics.
    """

    def fitness(population: Sequence[Trial]) -> list[tuple[float, float]]:
        points = [point(trial, costs) for trial in population]
        finite = [i for i, numbers in enumerate(points) if all(map(math.isfinite, numbers))]
        values = [(-math.inf, 0.0)] * len(population)
        if finite:
            array = np.array([points[i] for i in finite])
            ranks = pareto.ranks(array)
            for rank in range(int(ranks.max()) + 1):
                members = np.flatnonzero(ranks == rank)
                for member, distance in zip(members, pareto.crowding(array[members]).tolist(), strict=True):
                    values[finite[member]] = (-float(rank), distance)
        return values

    return fitness
