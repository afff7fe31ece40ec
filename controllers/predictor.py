"""What is worth training next: a predictor of scores, fitted to the trials told, that picks among many proposals."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from nas.architecture import Architecture, Trial

from .encoding import Columns, Rows, apart, unlike
from .gaussian import Array, Fitted, Member, members, predict, weighed

FEWEST = 8
"""Scored trials below which nothing is predicted."""
MOST = 256
"""Trials that it is fitted to, at most: the best half and the latest of the others, so that a fit stays cheap."""
GROWTH = 1.1
"""Members are weighed again when there are this many times as many trials as the last time."""


class Predictor:
    """An ensemble over two encodings of the choices, options as names and options in an order; ranks of the scores.

    Scores become normal scores of their ranks, so that it matters neither what they measure nor how badly bad
    candidates do. Their standard errors, in units of the scores' spread, are noise that the fit knows of.
    """

    def __init__(self) -> None:
        self._columns = Columns()
        self._trials: list[Trial] = []
        self._members: list[Member] = []
        self._weighed_at = 0
        self._fit: tuple[int, Rows, Rows, list[Fitted]] | None = None

    @property
    def ready(self) -> bool:
        """Whether enough is told to predict from."""
        return len(self._trials) >= FEWEST

    def tell(self, trial: Trial) -> None:
        """Takes note of a trial with a finite score."""
        self._trials.append(trial)
        self._columns.meet([trial.architecture])

    def pick(self, pool: Sequence[Architecture], rng: random.Random) -> Architecture:
        """One of the pool by Thompson sampling: the best of it in a draw from what may be true, given the trials.

        Thompson (1933), "On the likelihood that one unknown probability exceeds another".
        """
        return pool[int(np.argmax(self.draw(pool, rng)))]

    def draw(self, pool: Sequence[Architecture], rng: random.Random) -> Array:
        """A draw of the scores, on the scale of normal scores, from one member chosen by weight: (pool,)."""
        rows, largest, fitted = self._fitted()
        new = self._columns.rows(pool)
        found = predict(fitted, [unlike(rows, new), apart(rows, new, largest)])
        generator = np.random.default_rng(rng.getrandbits(63))
        member = int(generator.choice(len(fitted), p=found.weights))
        drawn: Array = found.means[member] + found.stds[member] * generator.standard_normal(len(pool))
        return drawn

    def _fitted(self) -> tuple[Rows, Rows, list[Fitted]]:
        if self._fit is None or self._fit[0] != len(self._trials):
            kept, values, noises = self._kept()
            rows = self._columns.rows([trial.architecture for trial in kept])
            largest = rows.max(axis=0)
            distances = [unlike(rows, rows), apart(rows, rows, largest)]
            if len(self._trials) >= GROWTH * self._weighed_at:
                found = weighed(members(len(distances)), distances, values, noises)
                self._members, self._weighed_at = [one.member for one in found], len(self._trials)
            else:
                found = [Fitted.of(member, distances, values, noises) for member in self._members]
            self._fit = len(self._trials), rows, largest, found
        return self._fit[1:]

    def _kept(self) -> tuple[list[Trial], Array, Array]:
        """The trials that it is fitted to, their values and the variances of these, on the scale of normal scores."""
        scores = np.array([trial.value for trial in self._trials])
        errors = np.array([trial.score.stderr if trial.score else 0.0 for trial in self._trials])
        with np.errstate(over="ignore", invalid="ignore"):  # of huge scores; then no error matters
            values, spread = normal_scores(scores), float(scores.std())
        errors = np.where(np.isfinite(errors), errors, spread)
        noises = np.minimum((errors / spread) ** 2, 1.0) if spread > 0 else np.zeros_like(scores)
        order = np.argsort(-scores, kind="stable")
        best = order[: MOST // 2].tolist()
        latest = sorted(order[MOST // 2 :].tolist())[-(MOST - len(best)) :]
        chosen = sorted(best + latest)
        return [self._trials[i] for i in chosen], values[chosen], noises[chosen]


def normal_scores(values: npt.ArrayLike) -> Array:
    """Each value's rank as a quantile of the normal distribution; equal values share theirs (Blom, 1958)."""
    array = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2 + 1
    quantile = NormalDist().inv_cdf
    scores = [quantile((rank - 0.375) / (len(array) + 0.25)) for rank in middle.tolist()]
    found: Array = np.array(scores)[inverse]
    return found


def finite(trial: Trial) -> bool:
    """Whether there is something to learn from a trial."""
    return math.isfinite(trial.value)
