"""Variance of a mean accuracy over the units that classes come in.

A unit is a group of classes that are replaced together in a new problem: a class, all rotations of one character, or an
alphabet. Tasks share units, so neither tasks nor units are independent. The variance of the mean is the variance over
tasks, plus that over units, less the variance over the results of one unit in one task, which both contain: Cameron,
Gelbach & Miller, "Robust inference with multiway clustering" (Journal of Business & Economic Statistics, 2011),
section 2.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import NasError
from ..trial import Score
from .seed_variance import satterthwaite

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UnitVariance:
    """Variance of a mean accuracy, or of a difference of two, over the units of classes.

    Attributes:
        name: Name of the units in the plural: 'classes', 'characters', 'alphabets'.
        count: Number of units that the tasks have.
        mean: The mean accuracy, or the difference.
        over_units: Variance of the mean over units, with everything else fixed.
        shared: Part of it that the variance over tasks contains too; 0 where it is not known.
        freedom: Degrees of freedom of `over_units`.
    """

    name: str
    count: int
    mean: float
    over_units: float
    shared: float
    freedom: float


def unit_variance(first: Sequence[Score], second: Sequence[Score] = ()) -> UnitVariance | None:
    """The variance of a mean accuracy, or of the difference of two, over units of classes.

    The mean is the ratio of correct queries to all queries; its variance is that of the linearised ratio, corrected so
    that it has no bias for independent units of any sizes, with degrees of freedom for these sizes (Bell & McCaffrey,
    "Bias reduction in standard errors for linear regression with multi-stage samples", Survey Methodology, 2002). Seeds
    are averaged. Scores that an earlier version stored have totals by class alone: then each class is a unit.

    Args:
        first: Scores of one network, one a seed.
        second: Scores of another network, which are subtracted; empty for the mean of the first alone.

    Returns:
        None where scores have no values by class, or of one unit only.

    Raises:
        NasError: The scores are of other classes, or of other numbers of queries.
    """
    scores = (*first, *second)
    by_task = all(score.per_unit for score in scores)
    tables = [_rows(score, by_task) for score in scores]
    if any(len(table) == 0 for table in tables):
        return None
    kept = tables[0][:, [0, 1, 3]]
    name = scores[0].units if by_task else "classes"
    if any(not np.array_equal(table[:, [0, 1, 3]], kept) for table in tables):
        raise NasError("scores of other classes, or of other numbers of queries, have no common interval over classes")
    rights = np.array([table[:, 2] for table in tables])
    right = rights[: len(first)].mean(axis=0)
    if second:
        right = right - rights[len(first) :].mean(axis=0)
    units, places = np.unique(kept[:, 1], return_inverse=True)
    if len(units) < 2:
        return None
    queries = kept[:, 2]
    mean = float(right.sum() / queries.sum())
    residuals = (right - mean * queries) / queries.sum()
    weights = np.bincount(places, queries) / queries.sum()
    over_units, freedom = _over_units(np.bincount(places, residuals).astype(np.float64), weights)
    shared = float((residuals**2).sum()) * len(residuals) / (len(residuals) - 1) if by_task else 0.0
    return UnitVariance(name, len(units), mean, max(over_units, shared), shared, freedom)


def _rows(score: Score, by_task: bool) -> Values:
    """(task, unit, correct queries, queries) of a score, (rows, 4); the task is 0 where it is not known."""
    rows = score.per_unit if by_task else [(0, unit, right, queries) for unit, right, queries in score.per_class]
    return np.fromiter(itertools.chain.from_iterable(rows), np.float64, 4 * len(rows)).reshape(-1, 4)


def _over_units(residuals: Values, weights: Values) -> tuple[float, float]:
    """The variance of the mean and its degrees of freedom, from the units' residuals and weights (sum 1)."""
    centre = np.eye(len(weights)) - weights  # It subtracts the weighted mean of all units from a unit's effect.
    form = (centre * weights[:, None] ** 2).T @ centre
    variance = float((residuals**2).sum() * (weights**2).sum() / np.trace(form))
    return variance, satterthwaite(form)
