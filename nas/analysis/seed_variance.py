"""Variance between trainings of a mean over tasks, from one network's seeds or pooled over several networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ..trial import Score

Table = npt.NDArray[np.float64]
"""One network's results, (seeds, tasks), the same seeds in the same order for all networks."""
LEAST_FREEDOM: Final = 2.0
"""Degrees of freedom below which a variance between trainings is not used: with one, the t quantile is 12.7."""
ENOUGH_SEEDS: Final = 5
"""Number of seeds from which on a network's variance between trainings is used without pooling."""


@dataclass(frozen=True)
class SeedVariance:
    """The variance between trainings of a training's mean over tasks.

    Attributes:
        raw: Mean square between the trainings' means; its expectation is the variance of trainings plus `noise`.
        noise: The part of `raw` that stems from the tasks: residual mean square / tasks.
        freedom: Degrees of freedom of `raw`.
    """

    raw: float
    noise: float
    freedom: float

    def scaled(self, square: float) -> SeedVariance:
        """The variance of values that are larger by the root of `square`."""
        return SeedVariance(square * self.raw, square * self.noise, self.freedom)


@dataclass(frozen=True)
class SeedPool:
    """Results of all networks that were trained with the same seeds.

    The seed variances of networks are pooled in units of `square_scale`, which makes them similar: an accuracy of .98
    varies less than one of .75. Effects of trainings are taken as independent between networks.

    Attributes:
        banks: For each bank of tasks, the networks' results by their keys.
        accuracy: Whether the results are accuracies.
    """

    banks: tuple[Mapping[str, Table], ...]
    accuracy: bool

    @staticmethod
    def of_scores(banks: Sequence[Mapping[str, Sequence[Score]]], *, accuracy: bool) -> SeedPool:
        """Makes a pool of scores, one a seed, by bank and network; networks without scores are left out."""
        tables = (
            {key: np.array([score.per_task for score in scores]) for key, scores in bank.items() if scores}
            for bank in banks
        )
        return SeedPool(tuple(tables), accuracy)

    def with_pool(self, other: SeedPool) -> SeedPool:
        """The networks of both pools, which were measured on the same banks in the same order."""
        both = zip(self.banks, other.banks, strict=True)
        return SeedPool(tuple({**ours, **theirs} for ours, theirs in both), self.accuracy)

    def of_means(self) -> SeedVariance | None:
        """The variance of one network's mean, per unit of `square_scale`; None where no network has two seeds.

        A network that is on several banks counts once, with the most seeds it has on one of them.
        """
        networks: dict[str, Table] = {}
        for key, table in itertools.chain.from_iterable(bank.items() for bank in self.banks):
            if key not in networks or len(table) > len(networks[key]):
                networks[key] = table
        tables = [(table, square_scale(table, accuracy=self.accuracy)) for table in networks.values()]
        tables = [(table, square) for table, square in tables if len(table) > 1 and square]
        return _pooled(tables, float(sum(len(table) - 1 for table, _ in tables))) if tables else None

    def of_differences(self) -> SeedVariance | None:
        """The variance of the paired difference of two networks, per unit of the sum of their `square_scale`.

        It is pooled over all pairs on each bank. Pairs share networks, so the degrees of freedom are Satterthwaite's
        for the quadratic form of all trainings' effects: (networks - 1) * (seeds - 1) on one bank with equal seeds.
        """
        places: dict[tuple[str, int], int] = {}
        pairs: list[tuple[Table, float]] = []
        forms: list[tuple[list[int], list[int], float, int]] = []
        for bank in self.banks:
            for (one, a), (other, b) in itertools.combinations(bank.items(), 2):
                seeds = min(len(a), len(b))
                first, second = (square_scale(table, accuracy=self.accuracy) for table in (a, b))
                if seeds < 2 or not first + second:
                    continue
                pairs.append((a[:seeds] - b[:seeds], first + second))
                rows = [[places.setdefault((key, s), len(places)) for s in range(seeds)] for key in (one, other)]
                forms.append((rows[0], rows[1], first / (first + second), seeds))
        if not pairs:
            return None
        form = np.zeros((len(places), len(places)))
        for first_rows, second_rows, share, seeds in forms:
            center = np.eye(seeds) - 1 / seeds
            form[np.ix_(first_rows, first_rows)] += share * center
            form[np.ix_(second_rows, second_rows)] += (1 - share) * center
            form[np.ix_(first_rows, second_rows)] -= math.sqrt(share * (1 - share)) * center
            form[np.ix_(second_rows, first_rows)] -= math.sqrt(share * (1 - share)) * center
        return _pooled(pairs, satterthwaite(form))


def square_scale(table: Table, *, accuracy: bool) -> float:
    """Scale of a network's variances: p (1 - p) of an accuracy p, else the squared mean."""
    mean = float(table.mean())
    return max(0.0, mean * (1 - mean)) if accuracy else mean * mean


def satterthwaite(form: npt.NDArray[np.float64]) -> float:
    """Degrees of freedom of the quadratic form x' `form` x of independent normal x of equal variance.

    Satterthwaite, "An approximate distribution of estimates of variance components" (Biometrics, 1946).
    """
    return float(np.trace(form) ** 2 / (form**2).sum())


def seed_variance(table: Table) -> SeedVariance | None:
    """The variance between the seeds of one table; None for one seed."""
    return _pooled([(table, 1.0)], len(table) - 1.0) if len(table) > 1 else None


def chosen(table: Table, pooled: SeedVariance | None) -> SeedVariance | None:
    """The seed variance to use for a table.

    It is the table's from `ENOUGH_SEEDS` seeds on, else the pooled one where that has more degrees of freedom. None
    where neither has `LEAST_FREEDOM`: then an interval holds for these trainings only.
    """
    variance = seed_variance(table)
    if pooled is not None and len(table) < ENOUGH_SEEDS and (variance is None or pooled.freedom > variance.freedom):
        variance = pooled
    return variance if variance is not None and variance.freedom > LEAST_FREEDOM - 1e-9 else None


def _pooled(tables: Sequence[tuple[Table, float]], freedom: float) -> SeedVariance:
    """The pooled variance of tables, each with the square of its scale."""
    squares = noise = degrees = 0.0
    for table, square in tables:
        seeds, tasks = table.shape
        of_seed = table.mean(axis=1, keepdims=True)
        residuals = table - table.mean(axis=0) - of_seed + table.mean()
        squares += float(((of_seed - table.mean()) ** 2).sum()) / square
        noise += float((residuals**2).sum()) / ((tasks - 1) * tasks) / square
        degrees += seeds - 1
    return SeedVariance(squares / degrees, noise / degrees, freedom)
