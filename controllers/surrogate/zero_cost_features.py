"""Numbers told of architectures before they are trained, such as zero-cost scores, as a distance between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nas.architecture import Architecture
from nas.failures import attempt
from nas.protocols import ZeroCost

from .encodings import Array

MOST_KEPT = 10_000
"""Architectures whose numbers are remembered: those used last. The others are asked for again."""


FeaturesOf = Callable[[Architecture, Sequence[ZeroCost]], Mapping[str, float]]
"""What tells numbers of an architecture by their names, as `nas.protocols.Featured.features`."""


class Features:
    """Features by `names` of what `of` tells, each as a rank among the architectures that were met, in [0, 1].

    So neither scale nor outliers matter, and infinite numbers are the least or the largest. Rows are a function of what
    was met, in whatever order, and not of what rows were asked for before. Where `of` raises, leaves a name out or
    gives NaN, a feature is missing.
    """

    measures = 1

    def __init__(self, names: Sequence[ZeroCost], of: FeaturesOf) -> None:
        self._names, self._of = tuple(names), of
        self._known: dict[Architecture, Array] = {}
        self._met: list[Array] = [np.empty(0) for _ in self._names]

    def add(self, architecture: Architecture) -> None:
        """It counts in the ranks from now on."""
        for place, value in enumerate(self._numbers(architecture)):
            if not math.isnan(value):
                met = self._met[place]
                self._met[place] = np.insert(met, int(np.searchsorted(met, value)), value)

    def distance(self, measure: int, told: Array, new: Array) -> Array:
        """As said of an Encoding: one measure, `between`."""
        return between(told, new)

    def rows(self, architectures: Sequence[Architecture]) -> Array:
        """(architectures, features): the fraction of those met that have less, half of the equal ones counted; NaN
        where it is missing."""
        values = np.array([self._numbers(a) for a in architectures]).reshape(len(architectures), len(self._names))
        ranks = np.full(values.shape, np.nan)
        for place, met in enumerate(self._met):
            there = ~np.isnan(values[:, place])
            least, most = (np.searchsorted(met, values[there, place], side=side) for side in ("left", "right"))
            ranks[there, place] = (least + most) / (2 * max(len(met), 1))
        return ranks

    def _numbers(self, architecture: Architecture) -> Array:
        numbers = self._known.pop(architecture, None)
        if numbers is None:
            found, error = attempt(self._ask, architecture)
            numbers = np.full(len(self._names), np.nan) if error is not None else found
        self._known[architecture] = numbers  # at the end, so that the first is the one unused for longest
        if len(self._known) > MOST_KEPT:
            del self._known[next(iter(self._known))]
        return numbers

    def _ask(self, architecture: Architecture) -> Array:
        told = self._of(architecture, self._names)
        return np.array([told.get(name, math.nan) for name in self._names], dtype=float)


def between(first: Array, second: Array) -> Array:
    """The mean difference of the features of two architectures, each to each: (first, second) in [0, 1].

    Takes rows of `Features`. A feature that only one of them has counts as 1; one that neither has does not count.
    """
    total, counted = (np.zeros((len(first), len(second))) for _ in range(2))
    for one, other in zip(first.T, second.T, strict=True):
        a, b = one[:, None], other[None, :]
        missing = np.isnan(a) | np.isnan(b)
        either = ~(np.isnan(a) & np.isnan(b))
        total += np.where(missing, either, np.abs(a - b))
        counted += either
    return total / np.maximum(counted, 1)
