"""Ensemble of Gaussian processes over distances, weighted by leave-one-out likelihood.

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
"""Length scales of the members; distances are in [0, 1]."""
NOISES = (0.02, 0.2)
"""Noise variances of the members, in units of the kernel's variance."""
MOST_MEMBERS, LEAST_WEIGHT = 5, 0.05
"""Maximum number of members that are kept until weights are next computed, and minimum weight of each."""


@dataclass(frozen=True)
class Member:
    """Kernel exp(-distance / scale) of one Gaussian process.

    Attributes:
        measure: Number of the measure of distance.
        scale: Length scale, above 0.
        noise: Noise variance on the diagonal, in units of the kernel's variance, above 0.
    """

    measure: int
    scale: float
    noise: float

    def kernel(self, distance: Array) -> Array:
        """Covariances at distances of any shape, without noise, in [0, 1]."""
        value: Array = np.exp(-distance / self.scale)
        return value


@dataclass(frozen=True)
class Fitted:
    """One Gaussian process fitted to values y (n,), with covariance K = kernel + noise.

    Attributes:
        member: Its kernel.
        inverse: K⁻¹, (n, n).
        solved: K⁻¹ y, (n,).
        variance: Maximum-likelihood variance of the process, yᵀ K⁻¹ y / n.
        loo: Logarithm of the leave-one-out likelihood.
    """

    member: Member
    inverse: Array
    solved: Array
    variance: float
    loo: float

    @classmethod
    def of(cls, member: Member, distance: Array, values: Array, noises: Array) -> Fitted:
        """Fits a member.

        Args:
            member: Kernel.
            distance: Distances between the architectures, (n, n).
            values: Values of the architectures, (n,).
            noises: Further noise variances of the values, (n,), in units of the kernel's variance.
        """
        covariance = member.kernel(distance)
        covariance[np.diag_indices_from(covariance)] += member.noise + noises
        inverse = _inverse(covariance)
        solved = inverse @ values
        variance = max(float(values @ solved) / len(values), 1e-9)
        # Leave-one-out residuals and variances, equations 5.12: [K⁻¹y]ᵢ / [K⁻¹]ᵢᵢ and σ² / [K⁻¹]ᵢᵢ.
        diagonal = np.diagonal(inverse)
        residuals, variances = solved / diagonal, variance / diagonal
        loo = float(-0.5 * (np.log(variances) + residuals**2 / variances).sum())
        return cls(member, inverse, solved, variance, loo)

    def predict(self, distance: Array) -> tuple[Array, Array]:
        """Posterior of the values without noise, equations 2.25 and 2.26.

        Args:
            distance: Distances from the fitted architectures to new ones, (n, new).

        Returns:
            Means and standard deviations, (new,) each.
        """
        across = self.member.kernel(distance)
        remaining = np.maximum(1 - (across * (self.inverse @ across)).sum(axis=0), 1e-9)
        std: Array = np.sqrt(self.variance * remaining)
        return across.T @ self.solved, std


def _inverse(covariance: Array) -> Array:
    """The inverse of a positive definite matrix by Cholesky, three times as fast as numpy's."""
    lower, _ = dpotri(np.linalg.cholesky(covariance), lower=True)
    inverse: Array = np.tril(lower)
    inverse += np.tril(lower, -1).T
    return inverse


def members(measures: int) -> list[Member]:
    """Members of all scales and noises for so many measures of distance."""
    return [Member(measure, scale, noise) for measure, scale, noise in product(range(measures), SCALES, NOISES)]


def weighed(chosen: Sequence[Member], distances: Sequence[Array], values: Array, noises: Array) -> list[Fitted]:
    """The members of largest weight, fitted.

    Args:
        chosen: Members to choose from.
        distances: Distances between the architectures by each measure, (n, n).
        values: Values of the architectures, (n,).
        noises: Noise variances of the values, (n,).

    Returns:
        At most `MOST_MEMBERS` members, each of weight `LEAST_WEIGHT` or more unless all are lighter, in the order of
        `chosen`.
    """
    fitted = [Fitted.of(member, distances[member.measure], values, noises) for member in chosen]
    weights = weights_of(fitted)
    best = np.argsort(-weights, kind="stable")[:MOST_MEMBERS]
    least = min(LEAST_WEIGHT, weights[best[0]])
    return [fitted[index] for index in sorted(best.tolist()) if weights[index] >= least]


def weights_of(fitted: Sequence[Fitted]) -> Array:
    """Weights of members, which sum to 1: their leave-one-out likelihoods over the sum, (members,)."""
    loos = np.array([each.loo for each in fitted])
    likelihoods = np.exp(loos - loos.max())
    weights: Array = likelihoods / likelihoods.sum()
    return weights
