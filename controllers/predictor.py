"""What is worth training next: a predictor of scores, fitted to the trials told, that picks among many proposals."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from nas.architecture import Architecture
from nas.errors import ConfigError
from nas.protocols import SearchSpace, ZeroCost

from .encoding import Choices, Encoding, Paths
from .features import Features, FeaturesOf
from .gaussian import Array, Fitted, Member, members, predict, weighed

FEWEST = 8
"""Scored trials below which nothing is predicted."""
MOST = 192
"""Trials that it is fitted to, at most: the best half and the latest of the others, so that a fit stays cheap."""
GROWTH = 1.1
"""Members are weighed again when there are this many times as many trials as the last time."""


class Predictor:
    """An ensemble over encodings of architectures (`encodings`); ranks of the scores.

    Scores become normal scores of their ranks, so that it matters neither what they measure nor how badly bad
    candidates do. Their standard errors, in units of the scores' spread, are noise that the fit knows of.
    """

    def __init__(self, encodings: Sequence[Encoding]) -> None:
        self._encodings = encodings
        self._told: list[Architecture] = []
        self._values: list[float] = []
        self._errors: list[float] = []
        self._members: list[Member] = []
        self._weighed_at = 0
        self._fit: tuple[int, list[Architecture], list[Fitted]] | None = None

    @property
    def ready(self) -> bool:
        """Whether enough is told to predict from."""
        return len(self._values) >= FEWEST

    def tell(self, architecture: Architecture, value: float, stderr: float = 0.0) -> None:
        """Takes note of a finite score. A standard error that is not finite counts as the spread of the scores."""
        for encoding in self._encodings:
            encoding.add(architecture)
        self._told.append(architecture)
        self._values.append(value)
        self._errors.append(stderr)

    def ranked(self, pool: Sequence[Architecture], rng: random.Random) -> list[Architecture]:
        """The pool by Thompson sampling: from the best on in a draw from what may be true, given the trials.

        Thompson (1933), "On the likelihood that one unknown probability exceeds another".
        """
        return [pool[place] for place in np.argsort(-self.draw(pool, rng), kind="stable")]

    def draw(self, pool: Sequence[Architecture], rng: random.Random) -> Array:
        """A draw of the scores, on the scale of normal scores, from one member chosen by weight: (pool,)."""
        kept, fitted = self._fitted()
        found = predict(fitted, self._distances(kept, pool))
        generator = np.random.default_rng(rng.getrandbits(63))
        member = int(generator.choice(len(fitted), p=found.weights))
        drawn: Array = found.means[member] + found.stds[member] * generator.standard_normal(len(pool))
        return drawn

    def _distances(self, kept: Sequence[Architecture], new: Sequence[Architecture] | None = None) -> list[Array]:
        return [distance for encoding in self._encodings for distance in encoding.distances(kept, new)]

    def _fitted(self) -> tuple[list[Architecture], list[Fitted]]:
        if self._fit is None or self._fit[0] != len(self._values):
            places, values, noises = self._kept()
            kept = [self._told[place] for place in places]
            distances = self._distances(kept)
            if len(self._values) >= GROWTH * self._weighed_at:
                found = weighed(members(len(distances)), distances, values, noises)
                self._members, self._weighed_at = [one.member for one in found], len(self._values)
            else:
                found = [Fitted.of(member, distances, values, noises) for member in self._members]
            self._fit = len(self._values), kept, found
        return self._fit[1:]

    def _kept(self) -> tuple[npt.NDArray[np.intp], Array, Array]:
        """The places of the trials that it is fitted to, their values and the variances of these, on the scale of
        normal scores."""
        scores, errors = np.array(self._values), np.array(self._errors)
        with np.errstate(over="ignore", invalid="ignore"):  # of huge scores; then no error matters
            spread = float(scores.std())
        order = np.argsort(-scores, kind="stable")
        latest = np.sort(order[MOST // 2 :])[-MOST // 2 :]
        kept = np.sort(np.concatenate([order[: MOST // 2], latest]))
        own = np.where(np.isfinite(errors[kept]), errors[kept], spread)
        noises = np.minimum((own / spread) ** 2, 1.0) if spread > 0 else np.zeros(len(kept))
        return kept, normal_scores(scores)[kept], noises


def encodings(space: SearchSpace, zero_cost: Sequence[ZeroCost] = (), of: FeaturesOf | None = None) -> list[Encoding]:
    """All that there are for a space: choices; paths, where it draws graphs; and zero-cost scores `of` architectures.

    Raises ConfigError where scores are asked for and nothing tells them."""
    found: list[Encoding] = [Choices()]
    if hasattr(space, "graph"):
        found.append(Paths(space))
    if zero_cost:
        if of is None:
            raise ConfigError("zero_cost needs an evaluator that tells zero-cost scores (nas.protocols.Featured)")
        found.append(Features(zero_cost, of))
    return found


def normal_scores(values: npt.ArrayLike) -> Array:
    """Each value's rank as a quantile of the normal distribution; equal values share theirs (Blom, 1958)."""
    array = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2 + 1
    found: Array = ndtri((middle - 0.375) / (len(array) + 0.25))[inverse]
    return found
