"""Evolution one candidate at a time, of operators that a person composes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.protocols import SearchSpace
from nas.space import replay, sample
from nas.trial import Trial

from .operators import Cycle


class SteadyState:
    """`SteadyState(space, tournament(25) >> mutate(1) >> age_out(100), first=100)`, of the operators in `operators.py`.

    first  until so many scored trials are told, proposals are random samples, from 1

    An architecture may be proposed again. The population is in the order of telling, so candidates may finish in any
    order and any number may be pending. A trial without a finite score neither becomes a parent nor ages the others.
    Where a parent has no allowed child, a random sample is proposed.
    """

    def __init__(self, space: SearchSpace, cycle: Cycle, *, seed: int = 0, first: int = 10) -> None:
        self._space, self._cycle, self._seed, self._first = space, cycle, seed, first
        self._asked = self._told = 0
        self._population: list[Trial] = []

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
                self._population = self._cycle.survive.keep([*self._population, trial])
                self._told += 1

    def _propose(self, rng: random.Random) -> Architecture:
        if self._told < self._first:
            return sample(self._space, rng)
        try:
            return self._cycle.breed.make(self._population, self._space, rng)[0]
        except Rejected:
            # A parent without an allowed neighbour must not end the search.
            return sample(self._space, rng)
