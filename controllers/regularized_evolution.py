"""Regularized evolution as published: a tournament picks a parent, one of its choices changes, the oldest dies."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence

from nas.architecture import Architecture, Trial
from nas.errors import ConfigError, Rejected
from nas.protocols import SearchSpace
from nas.space import mutate, replay, sample

from .operators import tournament


class RegularizedEvolution:
    """Real et al., "Regularized Evolution for Image Classifier Architecture Search" (arXiv 1802.01548), algorithm 1.

    population  how many of the latest scored trials may be parents, from 1. Until that many are told, proposals are
                random samples, as the paper's first population is
    tournament  how many of them are drawn, with replacement as in the paper, for the best to be the parent, from 1

    The defaults are the paper's, for 20,000 candidates; 10 and 3 are usual for a hundred. An architecture may be
    proposed again. Age is the place in the order of telling, so candidates may finish in any order and any number may
    be pending. A trial without a finite score neither becomes a parent nor ages the others.
    """

    name = "regularized-evolution"

    def __init__(self, space: SearchSpace, *, seed: int = 0, population: int = 100, tournament: int = 25) -> None:
        check_sizes(population, tournament)
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


def check_sizes(population: int, tournament: int) -> None:
    """Raises ConfigError where a population or a tournament cannot be."""
    if population < 1:
        raise ConfigError(f"population is {population}; it must be at least 1")
    if not 1 <= tournament <= population:
        raise ConfigError(
            f"tournament is {tournament}; it must be from 1 to the population, {population} (5 of 20 is usual)"
        )
