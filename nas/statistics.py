"""Means with intervals, over the two kinds of noise that few-shot results have: tasks, and meta-training seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .architecture import Score
from .errors import NasError, shown


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error, and its 95 % interval."""

    value: float
    stderr: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "stderr": self.stderr, "interval": [self.low, self.high]}


def estimate(values: Sequence[Sequence[float]]) -> Estimate:
    """The mean of `values[seed][task]`, for seeds and tasks like these: both are taken as random samples.

    Two-way random effects without replication: with mean squares of tasks T, seeds S and residual E, the mean's
    variance is (T + S - E) / (seeds * tasks); its degrees of freedom are Satterthwaite's (Searle, Casella & McCulloch,
    "Variance components", 1992, chapter 4), but never fewer than the smaller of seeds and tasks less one: with E in the
    sum they can fall to near zero and the interval to nonsense. A negative seed component counts as zero. With one seed
    the interval is over tasks alone. Raises NasError for fewer than two tasks or rows of unequal length.
    """
    table = _table(values)
    seeds, tasks = table.shape
    mean = float(table.mean())
    by_task = seeds * float(table.mean(axis=0).var(ddof=1))
    freedom = float(tasks - 1)
    total = by_task
    if seeds > 1:
        by_seed = tasks * float(table.mean(axis=1).var(ddof=1))
        residuals = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + mean
        residual = float((residuals**2).sum()) / ((seeds - 1) * (tasks - 1))
        if by_seed > residual:
            total = by_task + by_seed - residual
            parts = by_task**2 / (tasks - 1) + by_seed**2 / (seeds - 1) + residual**2 / ((seeds - 1) * (tasks - 1))
            freedom = max(min(seeds, tasks) - 1.0, total**2 / parts)
    stderr = math.sqrt(total / (seeds * tasks))
    margin = stderr * t_quantile(0.975, freedom)
    return Estimate(mean, stderr, mean - margin, mean + margin)


def difference(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Estimate:
    """The mean of first - second, paired by seed and task. Raises NasError where the two do not pair up."""
    a, b = _table(first), _table(second)
    if a.shape != b.shape:
        raise NasError(f"values of {a.shape} and {b.shape} seeds and tasks cannot be paired")
    return estimate((a - b).tolist())


def compare(first: Sequence[Score], second: Sequence[Score]) -> Estimate:
    """By how much the first network's scores, one a seed, are above the second's, paired by seed and task.

    Raises NasError, naming what differs, for scores of different protocols: they do not measure the same.
    """
    for a, b in zip(first, second, strict=False):
        unequal = [key for key in {**a.protocol, **b.protocol} if a.protocol.get(key) != b.protocol.get(key)]
        if unequal:
            key = unequal[0]
            raise NasError(
                f"scores of different protocols cannot be compared: {key} is {shown(a.protocol.get(key))} in one, "
                f"{shown(b.protocol.get(key))} in the other; measure both in the same way"
            )
    return difference([score.per_task for score in first], [score.per_task for score in second])


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def _table(values: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    if len({len(row) for row in values}) != 1 or len(values[0]) < 2:
        raise NasError("an interval needs at least two tasks, the same for every seed")
    return np.array(values, dtype=np.float64)
