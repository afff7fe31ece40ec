"""An ensemble of Gaussian processes over architectures, each weighed by how well it predicts what it has not seen.

Rasmussen & Williams, "Gaussian Processes for Machine Learning" (2006), chapter 2; leave-one-out, section 5.4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotri

Array = npt.NDArray[np.float64]
SCALES = (0.1, 0.25, 0.6, 1.5)
NOISES = (0.02, 0.2)
MOST_MEMBERS, LEAST_WEIGHT = 5, 0.05
"""So many members at most, and none below this weight, are left in until the next weighing."""


@dataclass(frozen=True)
class Member:
    """A kernel exp(-distance / scale) on the distances by measure number `measure`, with `noise` on its diagonal of
    ones."""

    measure: int
    scale: float
    noise: float

    def kernel(self, distance: Array) -> Array:
        value: Array = np.exp(-distance / self.scale)
        return value


@dataclass(frozen=True)
class Fitted:
    """One member fitted to values: inverse = K⁻¹, solved = K⁻¹ values, variance = that which makes the values most
    likely, loo = the logarithm of the leave-one-out likelihood."""

    member: Member
    inverse: Array
    solved: Array
    variance: float
    loo: float

    @classmethod
    def of(cls, member: Member, distance: Array, values: Array, noises: Array) -> Fitted:
        """`distance` is (n, n) between the architectures of the `values` (n,); `noises` (n,) is added to the member's
        own, as variances of the values' scale."""
        covariance = member.kernel(distance)
        covariance[np.diag_indices_from(covariance)] += member.noise + noises
        inverse = _inverse(covariance)
        solved = inverse @ values
        variance = max(float(values @ solved) / len(values), 1e-9)
        # What the others say of each value: its mean and variance in closed form.
        diagonal = np.diagonal(inverse)
        errors, variances = solved / diagonal, variance / diagonal
        loo = float(-0.5 * (np.log(variances) + errors**2 / variances).sum())
        return cls(member, inverse, solved, variance, loo)

    def predict(self, distance: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the values without noise, of architectures at `distance` (n, new)."""
        across = self.member.kernel(distance)
        left = np.maximum(1 - (across * (self.inverse @ across)).sum(axis=0), 1e-9)
        std: Array = np.sqrt(self.variance * left)
        return across.T @ self.solved, std


def _inverse(covariance: Array) -> Array:
    """The inverse of a positive definite matrix, three times as fast as numpy's."""
    lower, _ = dpotri(np.linalg.cholesky(covariance), lower=True)
    inverse: Array = np.tril(lower)
    inverse += np.tril(lower, -1).T
    return inverse


def members(measures: int) -> list[Member]:
    """All members for so many measures of distance."""
    return [Member(measure, scale, noise) for measure, scale, noise in product(range(measures), SCALES, NOISES)]


def weighed(chosen: Sequence[Member], distances: Sequence[Array], values: Array, noises: Array) -> list[Fitted]:
    """The members that count, fitted: the `MOST_MEMBERS` with the largest weights by leave-one-out likelihood, from
    `LEAST_WEIGHT` on. `distances` are (n, n), one for each measure."""
    fitted = [Fitted.of(member, distances[member.measure], values, noises) for member in chosen]
    weights = weights_of(fitted)
    best = np.argsort(-weights, kind="stable")[:MOST_MEMBERS]
    least = min(LEAST_WEIGHT, weights[best[0]])
    return [fitted[number] for number in sorted(best.tolist()) if weights[number] >= least]


def weights_of(fitted: Sequence[Fitted]) -> Array:
    """The members' weights: their leave-one-out likelihoods, over the sum."""
    loos = np.array([one.loo for one in fitted])
    likelihoods = np.exp(loos - loos.max())
    weights: Array = likelihoods / likelihoods.sum()
    return weights
