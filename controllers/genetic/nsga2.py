"""Ranking by Pareto fronts and crowding distance (NSGA-II, Deb et al. 2002)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nas.analysis import pareto
from nas.analysis.pareto_front import check_costs
from nas.trial import Trial

from .operators import By


def point(trial: Trial, costs: Sequence[str]) -> tuple[float, ...]:
    """A trial's score and its costs, by the names that metrics of scores have, all the better the larger.

    Raises ConfigError for a metric that the score has not."""
    metrics = trial.score.metrics if trial.score is not None else {}
    check_costs(costs, metrics)
    return trial.value, *(-float(metrics[cost]) for cost in costs)


def by_fronts(*costs: str) -> By:
    """Compares as NSGA-II does (Deb et al., 2002): by front, and in a front by how far apart the neighbours are.

    A trial with a cost that is no finite number is the worst.
    """

    def by(population: Sequence[Trial]) -> list[tuple[float, float]]:
        points = [point(trial, costs) for trial in population]
        usable = [i for i, numbers in enumerate(points) if all(map(math.isfinite, numbers))]
        standings = [(-math.inf, 0.0)] * len(population)
        if usable:
            array = np.array([points[i] for i in usable])
            ranks = pareto.ranks(array)
            for rank in range(int(ranks.max()) + 1):
                members = np.flatnonzero(ranks == rank)
                for member, distance in zip(members, pareto.crowding(array[members]).tolist(), strict=True):
                    standings[usable[member]] = (-float(rank), distance)
        return standings

    return by
