"""How well one ranking of cells agrees with another: Kendall's τ with intervals over cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau


@dataclass(frozen=True)
class Agreement:
    """Kendall's τ-b of a cheap score with the reference, over cells.

    low, high    95 % bootstrap interval over cells
    partial      τ given the number of parameters (Kendall, 1942)
    over_size    τ minus that of the number of parameters, with its interval over_low, over_high over the same cells
    reached      the reference score of the cell that the cheap score takes for the best
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
    """Kendall's τ-b; 0 where one of them is constant and so orders nothing."""
    found = float(kendalltau(x, y).statistic)
    return 0.0 if math.isnan(found) else found


def partial_tau(x: npt.ArrayLike, y: npt.ArrayLike, given: npt.ArrayLike) -> float:
    """Kendall's partial τ of x and y given a third (Kendall, "Partial rank correlation", Biometrika 1942).

    0 where the third leaves nothing of one of them.
    """
    xy, xz, yz = tau(x, y), tau(x, given), tau(y, given)
    rest = (1 - xz**2) * (1 - yz**2)
    return (xy - xz * yz) / math.sqrt(rest) if rest > 1e-9 else 0.0


def resampled_taus(x: npt.ArrayLike, y: npt.ArrayLike, counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Kendall's τ-b of each of many samples with repetition: `counts` (samples, cells) says how often each cell is in.

    All at once, as sums over pairs of cells with the product of their counts as weight.
    """
    signs = [np.sign(np.subtract.outer(v, v)) for v in (np.asarray(x, dtype=float), np.asarray(y, dtype=float))]
    times = np.asarray(counts, dtype=float)

    def over_pairs(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        total: npt.NDArray[np.float64] = ((times @ values) * times).sum(axis=1)
        return total

    untied = np.sqrt(over_pairs(signs[0] ** 2) * over_pairs(signs[1] ** 2))
    return over_pairs(signs[0] * signs[1]) / np.where(untied > 0, untied, 1)


def agreement(
    cheap: npt.ArrayLike, reference: npt.ArrayLike, parameters: npt.ArrayLike, *, draws: int, seed: int
) -> Agreement:
    """How a cheap score agrees with the reference; all three have one value a cell."""
    x, y, z = (np.asarray(values, dtype=float) for values in (cheap, reference, parameters))
    counts = np.random.default_rng(seed).multinomial(len(x), np.full(len(x), 1 / len(x)), size=draws)
    taus = resampled_taus(x, y, counts)
    low, high = np.quantile(taus, [0.025, 0.975])
    over_low, over_high = np.quantile(taus - resampled_taus(z, y, counts), [0.025, 0.975])
    whole = tau(x, y)
    return Agreement(
        tau=whole,
        low=float(low),
        high=float(high),
        partial=partial_tau(x, y, z),
        over_size=whole - tau(z, y),
        over_low=float(over_low),
        over_high=float(over_high),
        reached=float(y[int(np.argmax(x))]),
    )


def noise(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """The standard deviation of one measurement, from two of each cell."""
    apart = np.asarray(first) - np.asarray(second)
    return float(np.sqrt((apart**2).mean() / 2))
