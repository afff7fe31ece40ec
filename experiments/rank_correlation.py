"""Rank correlation of two scores over candidates: Kendall's τ, with bootstrap intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau


@dataclass(frozen=True)
class Agreement:
    """Kendall's τ-b of a cheap score with a reference score, over cells. Intervals are 95 % bootstrap intervals.

    Attributes:
        tau: Kendall's τ-b, in [-1, 1].
        low: Lower end of its interval.
        high: Upper end of its interval.
        partial: Partial τ given the number of parameters (Kendall, Biometrika 1942).
        over_size: τ minus that of the number of parameters with the reference.
        over_low: Lower end of the interval of `over_size`, over the same samples of cells.
        over_high: Upper end of the interval of `over_size`.
        reached: Reference score of the cell with the highest cheap score.
    """

    tau: float
    low: float
    high: float
    partial: float
    over_size: float
    over_low: float
    over_high: float
    reached: float


def tau(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Kendall's τ-b; 0 if one of the scores is constant and so orders nothing."""
    statistic = float(kendalltau(x, y).statistic)
    return 0.0 if math.isnan(statistic) else statistic


def partial_tau(x: npt.ArrayLike, y: npt.ArrayLike, control: npt.ArrayLike) -> float:
    """Kendall's partial τ of x and y given a control variable (Kendall, "Partial rank correlation", Biometrika 1942).

    It is 0 if the control variable determines the order of x or of y.
    """
    xy, xz, yz = tau(x, y), tau(x, control), tau(y, control)
    unexplained = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / math.sqrt(unexplained) if unexplained > 1e-9 else 0.0


def resampled_taus(x: npt.ArrayLike, y: npt.ArrayLike, counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Kendall's τ-b of many bootstrap samples at once, as sums over pairs of cells weighted by their counts.

    Args:
        x: Score of each cell, (cells,).
        y: Other score of each cell, (cells,).
        counts: How often each cell is in each sample, (samples, cells).

    Returns:
        τ-b of each sample, (samples,).
    """
    signs = [np.sign(np.subtract.outer(v, v)) for v in (np.asarray(x, dtype=float), np.asarray(y, dtype=float))]
    weights = np.asarray(counts, dtype=float)

    def over_pairs(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        total: npt.NDArray[np.float64] = ((weights @ values) * weights).sum(axis=1)
        return total

    untied = np.sqrt(over_pairs(signs[0] ** 2) * over_pairs(signs[1] ** 2))
    return over_pairs(signs[0] * signs[1]) / np.where(untied > 0, untied, 1)


def agreement(
    cheap: npt.ArrayLike, reference: npt.ArrayLike, parameters: npt.ArrayLike, *, draws: int, seed: int
) -> Agreement:
    """Agreement of a cheap score with the reference score.

    Args:
        cheap: Cheap score of each cell, (cells,).
        reference: Reference score of each cell, (cells,).
        parameters: Number of parameters of each cell, (cells,).
        draws: Number of bootstrap samples.
        seed: Seed of the bootstrap samples.
    """
    x, y, z = (np.asarray(values, dtype=float) for values in (cheap, reference, parameters))
    counts = np.random.default_rng(seed).multinomial(len(x), np.full(len(x), 1 / len(x)), size=draws)
    taus = resampled_taus(x, y, counts)
    low, high = np.quantile(taus, [0.025, 0.975])
    over_low, over_high = np.quantile(taus - resampled_taus(z, y, counts), [0.025, 0.975])
    tau_of_all = tau(x, y)
    return Agreement(
        tau=tau_of_all,
        low=float(low),
        high=float(high),
        partial=partial_tau(x, y, z),
        over_size=tau_of_all - tau(z, y),
        over_low=float(over_low),
        over_high=float(over_high),
        reached=float(y[int(np.argmax(x))]),
    )


def noise(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Standard deviation of one measurement, from two measurements of each cell."""
    difference = np.asarray(first) - np.asarray(second)
    return float(np.sqrt((difference**2).mean() / 2))
