"""Random weights that turn several objectives into one."""

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
"""What the sum of all shortfalls adds to the largest, as in ParEGO."""


class Compromise:
    """A predictor of each objective, and a choice that weighs them by chance, each time anew. Of the score alone, it is
    its predictor's choice.

    Augmented Tchebycheff scalarisation: Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for
    expensive multiobjective optimization problems" (2006), equation 2. There one predictor is fitted to the scalarised
    values; here each objective has its own, and what is scalarised is a draw of each (Thompson sampling).
    """

    def __init__(self, costs: Sequence[str], encodings: Callable[[], Sequence[Encoding]]) -> None:
        self._costs = costs
        self._predictors = [Predictor(encodings()) for _ in range(1 + len(costs))]

    @property
    def ready(self) -> bool:
        """Whether enough is told to predict from."""
        return all(predictor.ready for predictor in self._predictors)

    def tell(self, trial: Trial) -> None:
        """Takes note of a trial with a finite score and finite costs."""
        errors = (trial.stderr, *(0.0 for _ in self._costs))
        for predictor, value, error in zip(self._predictors, point(trial, self._costs), errors, strict=True):
            predictor.tell(trial.architecture, value, error)

    def ranked(self, pool: Sequence[Architecture], rng: random.Random) -> list[Architecture]:
        """The pool from the one on that a draw of all objectives says to be the best compromise."""
        drawn = np.stack([predictor.draw(pool, rng) for predictor in self._predictors], axis=1)
        short = shortfall(drawn, weights(drawn.shape[1], rng))
        return [pool[place] for place in np.argsort(short, kind="stable")]


def weights(count: int, rng: random.Random) -> list[float]:
    """So many weights that add up to 1, uniformly."""
    drawn = [rng.expovariate(1.0) for _ in range(count)]
    return [each / sum(drawn) for each in drawn]


def shortfall(points: pareto.Array, weights: Sequence[float]) -> pareto.Array:
    """How far each point falls short of the best in each objective, weighed: (points,). Its least is on the front."""
    short = (points.max(axis=0) - points) * np.asarray(weights)
    found: pareto.Array = short.max(axis=1) + RHO * short.sum(axis=1)
    return found
