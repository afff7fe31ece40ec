"""Choice of a proposal from a pool of candidates by a surrogate model."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from nas.architecture import Architecture

from ..without_replacement import Unseen


class Ranker(Protocol):
    """A surrogate model that orders candidates."""

    @property
    def ready(self) -> bool:
        """Whether enough trials were told to predict from."""
        ...

    def ranked(self, pool: Sequence[Architecture], rng: random.Random) -> list[Architecture]:
        """The pool, the most promising candidate first."""
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
        if len(pool) > 1 and self._ranker.ready:
            pool = self._ranker.ranked(pool, rng)
            self.leftovers = pool[: self._size // 2] if self._keep_leftovers else []
        new = next((candidate for candidate in pool if self._unseen.is_new(candidate)), None)
        return new or self._unseen.draw(draw, rng)
