"""Steady-state evolution, one candidate at a time, of composed operators."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.protocols import SearchSpace
from nas.space import replay, sample
from nas.trial import Trial

from .operators import Cycle
from .population import population_measurements


class SteadyState:
    """Steady-state evolution: `SteadyState(space, tournament(25) >> mutate(1) >> age_out(100), first=100)`.

    An architecture may be proposed again. The population is in the order of telling, so candidates may finish in any
    order and any number may be pending. A trial without a finite score neither becomes a parent nor ages the others.
    Where a parent has no allowed child, a random sample is proposed.

    Args:
        space: Search space.
        cycle: Reproduction and survival, composed of the operators in `operators.py`.
        seed: Seed of the proposals.
        first: Scored trials until which proposals are random samples, from 1.
    """

    def __init__(self, space: SearchSpace, cycle: Cycle, *, seed: int = 0, first: int = 10) -> None:
        self._space, self._cycle, self._seed, self._first = space, cycle, seed, first
        self._num_asked = self._num_scored = self._latest = 0
        self._population: list[Trial] = []

    def ask(self, n: int) -> list[Architecture]:
        """Proposes the next `n` architectures.

        Raises:
            SpaceError: The space rejects everything that is drawn.
        """
        numbers = range(self._num_asked, self._num_asked + n)
        self._num_asked += n
        return [self._propose(random.Random(f"{self._seed}/{k}")) for k in numbers]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Adds scored trials to the population, whether they were asked for or not.

        Raises:
            SpaceError: A trial is of another space.
        """
        for trial in trials:
            if math.isfinite(trial.value):
                replay(self._space, trial.architecture)
                self._population = self._cycle.survival.survivors([*self._population, trial])
                self._num_scored += 1
                self._latest = max(self._latest, trial.number)

    def measurements(self) -> Mapping[str, float]:
        """Numbers of the population, see `population_measurements`."""
        return population_measurements(self._population, self._latest)

    def _propose(self, rng: random.Random) -> Architecture:
        if self._num_scored < self._first:
            return sample(self._space, rng)
        try:
            return self._cycle.reproduction.children(self._population, self._space, rng)[0]
        except Rejected:
            # A parent without an allowed neighbour must not end the search.
            return sample(self._space, rng)
