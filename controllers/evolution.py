"""Regularized evolution: the best of a few becomes a parent, one of its choices changes, the oldest dies."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence

from nas.architecture import Architecture, Trial
from nas.errors import ConfigError, Rejected
from nas.protocols import SearchSpace
from nas.space import mutate, replay, sample


class Evolution:
    """Real et al., "Regularized Evolution for Image Classifier Architecture Search" (2019), algorithm 1.

    population  how many of the latest scored trials may be parents, from 1. Until that many are told, proposals are
                random samples, as the paper's first population is
    tournament  how many of them are drawn, with replacement as in the paper, for the best to be the parent, from 1

    The defaults keep the paper's ratio of 4 (its 100 and 25 are for 20,000 candidates): with 20 and 5, half of a
    search of 40 candidates and nine tenths of one of 200 are children.

    Age is the place in the order of telling, so candidates may finish in any order and any number may be pending.
    A trial without a finite score neither becomes a parent nor ages the others.
    """

    name = "evolution"

    def __init__(self, space: SearchSpace, *, seed: int = 0, population: int = 20, tournament: int = 5) -> None:
        if population < 1:
            raise ConfigError(f"population is {population}; it must be at least 1")
        if not 1 <= tournament <= population:
            raise ConfigError(
                f"tournament is {tournament}; it must be from 1 to the population, {population} (5 of 20 is usual)"
            )
        self._space = space
        self._seed = seed
        self._asked = 0
        self._size = population
        self._tournament = tournament
        self._population: deque[Trial] = deque(maxlen=population)

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures. Raises SpaceError when the space rejects all that is drawn."""
        numbers = range(self._asked, self._asked + n)
        self._asked += n
        return [self._propose(random.Random(f"{self._seed}/{k}")) for k in numbers]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Adds scored trials to the population, asked for or not. Raises SpaceError for those of another space."""
        for trial in trials:
            if math.isfinite(trial.value):
                replay(self._space, trial.architecture)
                self._population.append(trial)  # a full deque drops its oldest

    def _propose(self, rng: random.Random) -> Architecture:
        if len(self._population) < self._size:
            return sample(self._space, rng)
        parent = tournament(self._population, self._tournament, rng)
        try:
            return mutate(self._space, parent.architecture, rng)
        except Rejected:
            # A parent without an allowed neighbour must not end the search.
            return sample(self._space, rng)


def tournament(population: Sequence[Trial], size: int, rng: random.Random) -> Trial:
    """The best of `size` trials drawn from the population with replacement; of equals, the one drawn first."""
    drawn = [population[int(rng.random() * len(population))] for _ in range(size)]
    return max(drawn, key=lambda trial: trial.value)
