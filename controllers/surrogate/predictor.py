"""What is worth training next: a predictor of scores, fitted to the trials told, that picks among many proposals."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from nas.architecture import Architecture
from nas.errors import ConfigError
from nas.protocols import GraphSpace, SearchSpace, ZeroCost

from .encodings import Choices, Encoding, Paths
from .gaussian_process import Array, Fitted, Member, members, weighed, weights_of
from .zero_cost_features import Features, FeaturesOf

FEWEST = 8
"""Scored trials below which nothing is predicted."""
MOST = 192
"""Trials that it is fitted to, at most: the best half and the latest of the others, so that a fit stays cheap."""
MOST_POOLED = 10_000
"""The most proposals that it may choose among."""
GROWTH = 1.1
"""Members are weighed again when there are this many times as many trials as the last time."""


class Predictor:
    """An ensemble over encodings of architectures (`encodings`); ranks of the scores.

    Scores become normal scores of their ranks, so that it matters neither what they measure nor how badly bad
    candidates do. Their standard errors, in units of the scores' spread, are noise that the fit knows of.

    All members are fitted only when they are weighed; a draw fits the one that it is from. So what no member that
    counts goes by, paths in the graphs for one, is not computed either.
    """

    def __init__(self, encodings: Sequence[Encoding]) -> None:
        self._encodings = encodings
        self._told: list[Architecture] = []
        self._values: list[float] = []
        self._errors: list[float] = []
        self._members: list[Member] = []
        self._weights: Array = np.empty(0)
        self._weighed_at = 0
        self._sample: Sample | None = None

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
        self._sample = None

    def ranked(self, pool: Sequence[Architecture], rng: random.Random) -> list[Architecture]:
        """The pool by Thompson sampling: from the best on in a draw from what may be true, given the trials.

        Thompson (1933), "On the likelihood that one unknown probability exceeds another".
        """
        return [pool[place] for place in np.argsort(-self.draw(pool, rng), kind="stable")]

    def draw(self, pool: Sequence[Architecture], rng: random.Random) -> Array:
        """A draw of the scores, on the scale of normal scores, from one member chosen by weight: (pool,)."""
        if self._sample is None:
            self._sample = Sample(self._encodings, *self._kept())
        if len(self._values) >= GROWTH * self._weighed_at:
            found = self._sample.weighed()
            self._members, self._weights = [one.member for one in found], weights_of(found)
            self._weighed_at = len(self._values)
        generator = np.random.default_rng(rng.getrandbits(63))
        member = self._members[int(generator.choice(len(self._members), p=self._weights))]
        means, stds = self._sample.fitted(member).predict(self._sample.distance(member.measure, pool))
        drawn: Array = means + stds * generator.standard_normal(len(pool))
        return drawn

    def _kept(self) -> tuple[list[Architecture], Array, Array]:
        """The architectures that it is fitted to, their values and the variances of these, on the scale of normal
        scores."""
        scores, errors = np.array(self._values), np.array(self._errors)
        with np.errstate(over="ignore", invalid="ignore"):  # of huge scores; then no error matters
            spread = float(scores.std())
        order = np.argsort(-scores, kind="stable")
        latest = np.sort(order[MOST // 2 :])[-MOST // 2 :]
        kept = np.sort(np.concatenate([order[: MOST // 2], latest]))
        own = np.where(np.isfinite(errors[kept]), errors[kept], spread)
        noises = np.minimum((own / spread) ** 2, 1.0) if spread > 0 else np.zeros(len(kept))
        return [self._told[place] for place in kept], normal_scores(scores)[kept], noises


class Sample:
    """The trials that members are fitted to, and what is computed of these when it is asked for.

    values, noises  (trials,), on the scale of normal scores: what they came to, and the variances of that
    """

    def __init__(
        self, encodings: Sequence[Encoding], architectures: Sequence[Architecture], values: Array, noises: Array
    ) -> None:
        self._measures = [(encoding, number) for encoding in encodings for number in range(encoding.measures)]
        self._architectures, self._values, self._noises = architectures, values, noises
        self._rows: dict[Encoding, npt.NDArray[Any]] = {}
        self._fitted: dict[Member, Fitted] = {}

    def distance(self, measure: int, new: Sequence[Architecture] | None = None) -> Array:
        """From the trials' architectures to `new` ones, or to each other."""
        encoding, number = self._measures[measure]
        if encoding not in self._rows:
            self._rows[encoding] = encoding.rows(self._architectures)
        told = self._rows[encoding]
        return encoding.distance(number, told, told if new is None else encoding.rows(new))

    def fitted(self, member: Member) -> Fitted:
        """A member, fitted to the trials."""
        if member not in self._fitted:
            self._fitted[member] = Fitted.of(member, self.distance(member.measure), self._values, self._noises)
        return self._fitted[member]

    def weighed(self) -> list[Fitted]:
        """The members that count."""
        distances = [self.distance(measure) for measure in range(len(self._measures))]
        found = weighed(members(len(distances)), distances, self._values, self._noises)
        self._fitted = {one.member: one for one in found}
        return found


def encodings(space: SearchSpace, zero_cost: Sequence[ZeroCost] = (), of: FeaturesOf | None = None) -> list[Encoding]:
    """All that there are for a space: choices; paths, where it draws graphs; and zero-cost scores `of` architectures.

    Raises ConfigError where scores are asked for and nothing tells them."""
    found: list[Encoding] = [Choices()]
    if isinstance(space, GraphSpace):
        found.append(Paths(space))
    if zero_cost:
        if of is None:
            raise ConfigError("zero_cost needs an evaluator that tells zero-cost scores (nas.protocols.Featured)")
        found.append(Features(zero_cost, of))
    return found


def normal_scores(values: npt.ArrayLike) -> Array:
    """Each value's rank as a quantile of the normal distribution; equal values share theirs."""
    array = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    return normal_quantiles(np.cumsum(counts) - (counts - 1) / 2, len(array))[inverse]


def normal_quantiles(ranks: npt.ArrayLike, of: int) -> Array:
    """The quantile of the normal distribution that stands for each rank, from 1, among `of` values (Blom, 1958)."""
    found: Array = ndtri((np.asarray(ranks, dtype=float) - 0.375) / (of + 0.25))
    return found
