"""Choice of a proposal from a pool of candidates by a surrogate model."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nas.architecture import Architecture

from ..without_replacement import Unseen

WINDOW, FEWEST = 100, 8
"""The latest scored predictions that Kendall's τ is computed from, and the number below which it is not."""


class Ranker(Protocol):
    """A surrogate model that orders candidates."""

    @property
    def ready(self) -> bool:
        """Whether enough trials were told to predict from."""
        ...

    def ranked(self, pool: Sequence[Architecture], rng: random.Random) -> list[Architecture]:
        """The pool, the most promising candidate first."""
        ...

    def predicted(self, architecture: Architecture) -> float:
        """The expected score, on any scale, of an architecture of the pool that was ranked last."""
        ...


class PoolSelection:
    """Proposals that a surrogate model chooses from pools of unseen candidates.

    Args:
        unseen: Architectures that may be proposed.
        ranker: Surrogate model; the first candidate is taken until it is ready.
        size: Size of the pool, from 1.
        keep_leftovers: Whether the better half of the candidates that were not chosen enters the next pool.

    Attributes:
        leftovers: Candidates of the last pool that enter the next one.
    """

    def __init__(self, unseen: Unseen, ranker: Ranker, size: int, *, keep_leftovers: bool = True) -> None:
        self._unseen, self._ranker, self._size, self._keep_leftovers = unseen, ranker, size, keep_leftovers
        self.leftovers: list[Architecture] = []
        self._pending: dict[Architecture, float] = {}  # predictions of proposals without a score
        self._scored: deque[tuple[float, float]] = deque(maxlen=WINDOW)  # (prediction, score)

    def choose(self, draw: Callable[[], Architecture], rng: random.Random) -> Architecture | None:
        """Chooses a proposal.

        Args:
            draw: Draws a candidate; may raise Rejected.
            rng: Generator of the ranking.

        Returns:
            The most promising new architecture of the pool, else any new one; None where none is left.

        Raises:
            SpaceError: As `draw`.
        """
        pool = self._unseen.pool(draw, self._size, rng, self.leftovers)
        ranked = len(pool) > 1 and self._ranker.ready
        if ranked:
            pool = self._ranker.ranked(pool, rng)
            self.leftovers = pool[: self._size // 2] if self._keep_leftovers else []
        new = next((candidate for candidate in pool if self._unseen.is_new(candidate)), None)
        if ranked and new is not None:
            self._pending[new] = self._ranker.predicted(new)
        return new or self._unseen.draw(draw, rng)

    def tell(self, architecture: Architecture, score: float) -> None:
        """Records the finite score of an architecture, whether it was proposed or not."""
        prediction = self._pending.pop(architecture, None)
        if prediction is not None:
            self._scored.append((prediction, score))

    def measurements(self) -> Mapping[str, float]:
        """'kendall_tau' of the latest predictions with the scores that were measured later, where it is defined.

        A prediction is made when its candidate is proposed, from the scores known then.
        """
        if len(self._scored) < FEWEST:
            return {}
        tau = kendall_tau(*np.array(self._scored).T)
        return {} if tau is None else {"kendall_tau": tau}


def kendall_tau(x: npt.ArrayLike, y: npt.ArrayLike) -> float | None:
    """Kendall's rank correlation τ-b (1945) of two samples (values,); None where all values of one are equal."""
    # The sign of each difference; the difference itself could overflow.
    first, second = (1 * np.greater.outer(values, values) - np.less.outer(values, values) for values in (x, y))
    untied = float((first**2).sum() * (second**2).sum())
    return float((first * second).sum()) / untied**0.5 if untied else None
