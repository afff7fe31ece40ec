"""Predictor of scores: an ensemble of Gaussian processes, sampled by Thompson sampling."""

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
"""Trials in a fit at most: the best half and the latest of the others, so that a fit stays cheap."""
MOST_POOLED = 10_000
"""The largest pool that a predictor may choose from."""
GROWTH = 1.1
"""Growth of the number of trials after which the weights of the members are computed again."""


class Predictor:
    """Ensemble of Gaussian processes over encodings of architectures, fitted to the ranks of the scores.

    Scores become normal scores of their ranks, so that neither their unit nor the scores of bad candidates matter.
    Their standard errors, in units of the scores' spread, are noise that the fit takes into account.

    All members are fitted only when weights are computed; a draw fits the one that it comes from. An encoding that no
    member of weight uses, such as paths in the graphs, is therefore not computed either.

    Args:
        encodings: Encodings by which architectures are compared.
    """

    def __init__(self, encodings: Sequence[Encoding]) -> None:
        self._encodings = encodings
        self._architectures: list[Architecture] = []
        self._scores: list[float] = []
        self._stderrs: list[float] = []
        self._members: list[Member] = []
        self._weights: Array = np.empty(0)
        self._weighed_at = 0
        self._sample: Sample | None = None
        self._means: dict[Architecture, float] = {}

    @property
    def ready(self) -> bool:
        """Whether enough trials were told to predict from."""
        return len(self._scores) >= FEWEST

    def tell(self, architecture: Architecture, score: float, stderr: float = 0.0) -> None:
        """Adds a finite score with its standard error; one that is not finite counts as the spread of the scores."""
        for encoding in self._encodings:
            encoding.add(architecture)
        self._architectures.append(architecture)
        self._scores.append(score)
        self._stderrs.append(stderr)
        self._sample = None

    def ranked(self, pool: Sequence[Architecture], rng: random.Random) -> list[Architecture]:
        """The pool in the order of a posterior draw, the best first (Thompson sampling).

        Thompson (1933), "On the likelihood that one unknown probability exceeds another".
        """
        return [pool[index] for index in np.argsort(-self.draw(pool, rng), kind="stable")]

    def draw(self, pool: Sequence[Architecture], rng: random.Random) -> Array:
        """A posterior draw of the scores, independent for each architecture, from one member chosen by weight.

        Args:
            pool: Architectures to predict.
            rng: Generator to draw from.

        Returns:
            Scores on the scale of normal scores, (pool,).
        """
        if self._sample is None:
            self._sample = Sample(self._encodings, *self._fitted_to())
        if len(self._scores) >= GROWTH * self._weighed_at:
            fitted = self._sample.weighed()
            self._members, self._weights = [each.member for each in fitted], weights_of(fitted)
            self._weighed_at = len(self._scores)
        generator = np.random.default_rng(rng.getrandbits(63))
        member = self._members[int(generator.choice(len(self._members), p=self._weights))]
        means, stds = self._sample.fitted(member).predict(self._sample.distance(member.measure, pool))
        drawn: Array = means + stds * generator.standard_normal(len(pool))
        self._means = dict(zip(pool, means.tolist(), strict=True))
        return drawn

    def predicted(self, architecture: Architecture) -> float:
        """Posterior mean, on the scale of normal scores, of an architecture of the last draw's pool."""
        return self._means[architecture]

    def _fitted_to(self) -> tuple[list[Architecture], Array, Array]:
        """Architectures of the fit, with their values and noise variances on the scale of normal scores."""
        scores, stderrs = np.array(self._scores), np.array(self._stderrs)
        with np.errstate(over="ignore", invalid="ignore"):  # the spread of huge scores overflows, and noise is then 0
            spread = float(scores.std())
        order = np.argsort(-scores, kind="stable")
        latest = np.sort(order[MOST // 2 :])[-MOST // 2 :]
        kept = np.sort(np.concatenate([order[: MOST // 2], latest]))
        finite = np.where(np.isfinite(stderrs[kept]), stderrs[kept], spread)
        noises = np.minimum((finite / spread) ** 2, 1.0) if spread > 0 else np.zeros(len(kept))
        return [self._architectures[index] for index in kept], normal_scores(scores)[kept], noises


class Sample:
    """Trials of a fit, with distances and fitted members that are computed when they are first needed.

    Args:
        encodings: Encodings, whose measures are numbered through.
        architectures: Architectures of the trials.
        values: Normal scores of the trials, (trials,).
        noises: Variances of `values`, (trials,).
    """

    def __init__(
        self, encodings: Sequence[Encoding], architectures: Sequence[Architecture], values: Array, noises: Array
    ) -> None:
        self._measures = [(encoding, number) for encoding in encodings for number in range(encoding.measures)]
        self._architectures, self._values, self._noises = architectures, values, noises
        self._rows: dict[Encoding, npt.NDArray[Any]] = {}
        self._fitted: dict[Member, Fitted] = {}

    def distance(self, measure: int, new: Sequence[Architecture] | None = None) -> Array:
        """Distances by a measure from the trials to `new` architectures, (trials, new), or to each other."""
        encoding, number = self._measures[measure]
        if encoding not in self._rows:
            self._rows[encoding] = encoding.rows(self._architectures)
        rows = self._rows[encoding]
        return encoding.distance(number, rows, rows if new is None else encoding.rows(new))

    def fitted(self, member: Member) -> Fitted:
        """A member fitted to the trials."""
        if member not in self._fitted:
            self._fitted[member] = Fitted.of(member, self.distance(member.measure), self._values, self._noises)
        return self._fitted[member]

    def weighed(self) -> list[Fitted]:
        """The members of largest weight, fitted to the trials."""
        distances = [self.distance(measure) for measure in range(len(self._measures))]
        fitted = weighed(members(len(distances)), distances, self._values, self._noises)
        self._fitted = {each.member: each for each in fitted}
        return fitted


def encodings(
    space: SearchSpace, zero_cost: Sequence[ZeroCost] = (), features: FeaturesOf | None = None
) -> list[Encoding]:
    """All encodings for a space: its choices; paths, where it draws graphs; and zero-cost scores.

    Args:
        space: Search space.
        zero_cost: Names of zero-cost scores.
        features: Function that computes them.

    Raises:
        ConfigError: Zero-cost scores are named and `features` is None.
    """
    made: list[Encoding] = [Choices()]
    if isinstance(space, GraphSpace):
        made.append(Paths(space))
    if zero_cost:
        if features is None:
            raise ConfigError("zero_cost needs an evaluator that computes zero-cost scores (nas.protocols.Featured)")
        made.append(Features(zero_cost, features))
    return made


def normal_scores(values: npt.ArrayLike) -> Array:
    """Normal quantiles (values,) of the ranks of values (values,); equal values share their mean rank."""
    array = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    return normal_quantiles(np.cumsum(counts) - (counts - 1) / 2, len(array))[inverse]


def normal_quantiles(ranks: npt.ArrayLike, count: int) -> Array:
    """Quantiles of the normal distribution for ranks, in [1, count], among `count` values (Blom, 1958)."""
    quantiles: Array = ndtri((np.asarray(ranks, dtype=float) - 0.375) / (count + 0.25))
    return quantiles
