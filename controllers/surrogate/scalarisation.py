"""Scalarisation of several objectives by random weights."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from nas.analysis import pareto
from nas.architecture import Architecture
from nas.trial import Trial

from ..genetic.nsga2 import point
from .encodings import Encoding
from .predictor import Predictor

RHO = 0.05
"""Weight of the sum of all shortfalls beside the largest, ρ in ParEGO."""


class Scalarisation:
    """A predictor for each objective, and a ranking by augmented Tchebycheff scalarisation with random weights.

    Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective optimization
    problems" (2006), equation 2. There one predictor is fitted to the scalarised values; here each objective has its
    own, and a posterior draw of each is scalarised (Thompson sampling), with new weights for each ranking. Without
    costs, the ranking is that of the score's predictor.

    Args:
        costs: Names of the costs to be minimised beside the score, among the scores' metrics.
        encodings: Function that makes the encodings of one predictor.
    """

    def __init__(self, costs: Sequence[str], encodings: Callable[[], Sequence[Encoding]]) -> None:
        self._costs = costs
        self._predictors = [Predictor(encodings()) for _ in range(1 + len(costs))]

    @property
    def ready(self) -> bool:
        """Whether enough trials were told to predict from."""
        return all(predictor.ready for predictor in self._predictors)

    def tell(self, trial: Trial) -> None:
        """Adds a trial with a finite score and finite costs."""
        stderrs = (trial.stderr, *(0.0 for _ in self._costs))
        for predictor, value, stderr in zip(self._predictors, point(trial, self._costs), stderrs, strict=True):
            predictor.tell(trial.architecture, value, stderr)

    def ranked(self, pool: Sequence[Architecture], rng: random.Random) -> list[Architecture]:
        """The pool in the order of rising shortfall in a posterior draw of all objectives."""
        drawn = np.stack([predictor.draw(pool, rng) for predictor in self._predictors], axis=1)
        shortfalls = shortfall(drawn, random_weights(drawn.shape[1], rng))
        return [pool[index] for index in np.argsort(shortfalls, kind="stable")]

    def predicted(self, architecture: Architecture) -> float:
        """Posterior mean of the score of an architecture of the pool that was ranked last (`Predictor.predicted`)."""
        return self._predictors[0].predicted(architecture)


def random_weights(count: int, rng: random.Random) -> list[float]:
    """Weights (count,) that sum to 1, uniform on the simplex."""
    drawn = [rng.expovariate(1.0) for _ in range(count)]
    return [each / sum(drawn) for each in drawn]


def shortfall(points: pareto.Array, weights: Sequence[float]) -> pareto.Array:
    """Augmented Tchebycheff distance of points from the best value of each objective.

    Args:
        points: Objectives to be maximised, (points, objectives).
        weights: Weights of the objectives, (objectives,).

    Returns:
        Distances from 0, (points,). The point at the least distance is on the Pareto front.
    """
    weighted = (points.max(axis=0) - points) * np.asarray(weights)
    distances: pareto.Array = weighted.max(axis=1) + RHO * weighted.sum(axis=1)
    return distances
