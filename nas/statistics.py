"""Means with intervals, over what few-shot results depend on: tasks, meta-training seeds, and classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .architecture import Score
from .errors import NasError, shown
from .protocol_check import differences

RESAMPLES: Final = 4000


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error, and its 95 % interval over tasks and seeds.

    p_value  of a difference: the probability of one as far from zero, or further, were the true one zero
    classes  the 95 % interval over classes (`class_interval`); None where there are none
    """

    value: float
    stderr: float
    low: float
    high: float
    p_value: float | None = None
    classes: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        p_value = {} if self.p_value is None else {"p_value": self.p_value}
        classes = {} if self.classes is None else {"class_interval": list(self.classes)}
        return {"value": self.value, "stderr": self.stderr, "interval": [self.low, self.high], **p_value, **classes}


def estimate(values: Sequence[Sequence[float]]) -> Estimate:
    """The mean of `values[seed][task]`, for seeds and tasks like these: both are taken as random samples.

    Two-way random effects without replication: with mean squares of tasks T, seeds S and residual E, the mean's
    variance is (T + S - E) / (seeds * tasks); its degrees of freedom are Satterthwaite's (Searle, Casella & McCulloch,
    "Variance components", 1992, chapter 4), but never fewer than the smaller of seeds and tasks less one: with E in the
    sum they can fall to near zero and the interval to nonsense. A negative seed component counts as zero. With one seed
    the interval is over tasks alone. Raises NasError for fewer than two tasks or rows of unequal length.
    """
    return _with_interval(*_fit(_table(values)))


def difference(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Estimate:
    """The mean of first - second, paired by seed and task, and its p-value, two-sided, of the same t statistic.

    So the p-value is under 0.05 where the interval leaves zero out. Raises NasError where the two do not pair up.
    """
    a, b = _table(first), _table(second)
    if a.shape != b.shape:
        raise NasError(f"values of {a.shape} and {b.shape} seeds and tasks cannot be paired")
    mean, stderr, freedom = _fit(a - b)
    p_value = 2 * t_probability(-abs(mean) / stderr, freedom) if stderr else float(mean == 0)
    return replace(_with_interval(mean, stderr, freedom), p_value=p_value)


def average(scores: Sequence[Score]) -> Estimate:
    """The mean of one network's scores, one a seed."""
    return replace(estimate([score.per_task for score in scores]), classes=class_interval(scores))


def compare(first: Sequence[Score], second: Sequence[Score]) -> Estimate:
    """By how much the first network's scores, one a seed, are above the second's, paired by seed and task.

    Raises NasError, naming what differs, for scores of different protocols: they do not measure the same.
    """
    for a, b in zip(first, second, strict=False):
        for key, one, other in differences(a.protocol, b.protocol):
            raise NasError(
                f"scores of different protocols cannot be compared: {key} is {shown(one)} in one, {shown(other)} in "
                "the other; measure both in the same way"
            )
    paired = difference([score.per_task for score in first], [score.per_task for score in second])
    return replace(paired, classes=class_interval(first, second))


def class_interval(first: Sequence[Score], second: Sequence[Score] = ()) -> tuple[float, float] | None:
    """The 95 % interval over classes of the mean accuracy of scores, one a seed, or of first - second.

    It says how much the result depends on which classes the split happens to have: a percentile bootstrap (Efron &
    Tibshirani, "An introduction to the bootstrap", 1993, chapter 13). The classes of the bank are drawn anew with
    replacement, RESAMPLES times; each result of a task on a class counts as often as the class was drawn. Whole tasks
    would not do: a task mixes `ways` classes, so to weight it by them shrinks what a class does to 1 / ways. Seeds are
    averaged, not drawn: their noise is in the interval of `estimate`.

    None where a score has no values by class, or there is only one class. Raises NasError for scores of other classes.
    """
    tables = [np.array(score.per_class, dtype=np.float64) for score in (*first, *second)]
    if any(len(table) < 2 for table in tables):
        return None
    asked = tables[0][:, [0, 2]]
    if any(not np.array_equal(table[:, [0, 2]], asked) for table in tables):
        raise NasError("scores of other classes, or of other numbers of queries, have no common interval over classes")
    rights = np.array([table[:, 1] for table in tables])
    right = rights[: len(first)].mean(axis=0)
    if second:
        right = right - rights[len(first) :].mean(axis=0)
    # Seeded, so that the same scores have the same interval whenever a run is resumed.
    drawn = np.random.default_rng(0).integers(len(right), size=(RESAMPLES, len(right)))
    low, high = np.quantile(right[drawn].sum(axis=1) / asked[drawn, 1].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def t_probability(t: float, freedom: float) -> float:
    """The probability that Student's t is at most this."""
    from scipy.special import stdtr

    return float(stdtr(freedom, t))


def _fit(table: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean, standard error and degrees of freedom of a table (seeds, tasks), as `estimate` says."""
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
    return mean, math.sqrt(total / (seeds * tasks)), freedom


def _with_interval(mean: float, stderr: float, freedom: float) -> Estimate:
    margin = stderr * t_quantile(0.975, freedom)
    return Estimate(mean, stderr, mean - margin, mean + margin)


def _table(values: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    if len({len(row) for row in values}) != 1 or len(values[0]) < 2:
        raise NasError("an interval needs at least two tasks, the same for every seed")
    return np.array(values, dtype=np.float64)
