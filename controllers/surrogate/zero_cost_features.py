"""Encoding of architectures by zero-cost scores and other numbers known before training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nas.architecture import Architecture
from nas.failures import attempt
from nas.protocols import ZeroCost

from .encodings import Array

MOST_CACHED = 10_000
"""Maximum number of architectures whose numbers are cached; those least recently used are dropped."""
FeaturesOf = Callable[[Architecture, Sequence[ZeroCost]], Mapping[str, float]]
"""Computes numbers of an architecture by name, as `nas.protocols.Featured.features`."""


class Features:
    """Encoding by the ranks of named numbers among those of the added architectures, with one measure.

    Neither scale nor outliers matter, and infinite numbers are the lowest or the highest. Rows depend on the set of
    added architectures only, and not on their order nor on rows computed before. A number is missing where its
    computation raises, leaves the name out or gives NaN.

    Args:
        names: Names of the numbers.
        features: Function that computes them.
    """

    measures = 1

    def __init__(self, names: Sequence[ZeroCost], features: FeaturesOf) -> None:
        self._names, self._features = tuple(names), features
        self._cached: dict[Architecture, Array] = {}
        self._sorted: list[Array] = [np.empty(0) for _ in self._names]

    def add(self, architecture: Architecture) -> None:
        """See `Encoding.add`."""
        for column, value in enumerate(self._numbers(architecture)):
            if not math.isnan(value):
                values = self._sorted[column]
                self._sorted[column] = np.insert(values, int(np.searchsorted(values, value)), value)

    def distance(self, measure: int, known: Array, new: Array) -> Array:
        """See `Encoding.distance`; the measure is `mean_difference`."""
        return mean_difference(known, new)

    def rows(self, architectures: Sequence[Architecture]) -> Array:
        """Ranks in [0, 1], (architectures, features); NaN where a number is missing.

        A rank is the fraction of the added architectures with a smaller number, half of the equal ones included.
        """
        values = np.array([self._numbers(a) for a in architectures]).reshape(len(architectures), len(self._names))
        ranks = np.full(values.shape, np.nan)
        for column, added in enumerate(self._sorted):
            present = ~np.isnan(values[:, column])
            lowest, highest = (np.searchsorted(added, values[present, column], side=side) for side in ("left", "right"))
            ranks[present, column] = (lowest + highest) / (2 * max(len(added), 1))
        return ranks

    def _numbers(self, architecture: Architecture) -> Array:
        numbers = self._cached.pop(architecture, None)
        if numbers is None:
            numbers = self._computed(architecture)
        self._cached[architecture] = numbers  # last, so that the first is the least recently used
        if len(self._cached) > MOST_CACHED:
            del self._cached[next(iter(self._cached))]
        return numbers

    def _computed(self, architecture: Architecture) -> Array:
        def compute() -> Array:
            numbers = self._features(architecture, self._names)
            return np.array([numbers.get(name, math.nan) for name in self._names], dtype=float)

        # The evaluator builds and runs the candidate's network, which may raise anything.
        computed = attempt(compute)
        return computed.value if computed.error is None else np.full(len(self._names), np.nan)


def mean_difference(first: Array, second: Array) -> Array:
    """Mean absolute difference of the ranks of two architectures.

    A feature that only one of them has has difference 1; one that neither has does not count.

    Args:
        first: Rows of `Features`, (first, features).
        second: Rows of `Features`, (second, features).

    Returns:
        Distances in [0, 1], (first, second).
    """
    total, counted = (np.zeros((len(first), len(second))) for _ in range(2))
    for one, other in zip(first.T, second.T, strict=True):
        a, b = one[:, None], other[None, :]
        missing = np.isnan(a) | np.isnan(b)
        either = ~(np.isnan(a) & np.isnan(b))
        total += np.where(missing, either, np.abs(a - b))
        counted += either
    return total / np.maximum(counted, 1)
