"""Differences of two methods, paired by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from nas.analysis.intervals import t_quantile


@dataclass(frozen=True)
class SeedDifference:
    """Mean of first − second over seeds, with its 95 % interval by Student's t."""

    mean: float
    low: float
    high: float


def seed_difference(first: Sequence[float], second: Sequence[float]) -> SeedDifference:
    """The mean difference of values with the same seeds in the same order, of which there are two or more."""
    apart = [a - b for a, b in zip(first, second, strict=True)]
    margin = t_quantile(0.975, len(apart) - 1) * stdev(apart) / len(apart) ** 0.5
    return SeedDifference(fmean(apart), fmean(apart) - margin, fmean(apart) + margin)
