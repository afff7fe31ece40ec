"""Errors of several methods over the same seeds, and their paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Mean:
    """A mean over seeds with its 95 % interval, and the p-value of its being zero (two-sided t-test).

    Attributes:
        value: The mean.
        low: Lower end of the interval.
        high: Upper end.
        p_value: Probability of a mean as far from zero where the true one is zero.
    """

    value: float
    low: float
    high: float
    p_value: float

    @property
    def text(self) -> str:
        return f"{self.value:.2f}   {self.low:.2f} to {self.high:.2f}"


@dataclass(frozen=True)
class PairedError:
    """Error of one method.

    Attributes:
        name: Name of the method.
        values: Error of each seed.
        error: Their mean.
        differences: By the name of another method, this one's error less the other's.
    """

    name: str
    values: tuple[float, ...]
    error: Mean
    differences: Mapping[str, Mean]


def paired_errors(errors: Mapping[str, Sequence[float]], references: Sequence[str]) -> tuple[PairedError, ...]:
    """Means and paired differences.

    Args:
        errors: By method, an error for each seed, at least two, in the same order.
        references: Methods that all others are compared with.
    """
    return tuple(
        PairedError(
            name,
            tuple(values),
            mean_of(values),
            {other: mean_of(np.subtract(values, errors[other])) for other in references if other != name},
        )
        for name, values in errors.items()
    )


def p_text(p_value: float) -> str:
    """A p-value for a table.

    >>> p_text(0.0001)
    '<.001'
    """
    return "<.001" if p_value < 0.001 else f"{p_value:.3f}"


def mean_of(values: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> Mean:
    """The mean of independent values, at least two, with Student's t interval."""
    numbers = np.asarray(values, dtype=float)
    mean, stderr = float(numbers.mean()), float(stats.sem(numbers))
    if stderr == 0:
        return Mean(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    half = stderr * float(stats.t.ppf(0.975, len(numbers) - 1))
    p_value = float(2 * stats.t.sf(abs(mean) / stderr, len(numbers) - 1))
    return Mean(mean, mean - half, mean + half, p_value if math.isfinite(p_value) else 1.0)
