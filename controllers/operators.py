"""What evolution is made of: small functions of a population and a generator."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from nas.architecture import Architecture, Trial
from nas.protocols import SearchSpace
from nas.space import mutate

Rank = Callable[[Trial], Any]


def by_value(trial: Trial) -> float:
    """The usual rank: the score."""
    return trial.value


def tournament(population: Sequence[Trial], size: int, rng: random.Random, rank: Rank = by_value) -> Trial:
    """The best of `size` trials drawn from the population with replacement; of equals, the one drawn first."""
    drawn = [population[int(rng.random() * len(population))] for _ in range(size)]
    return max(drawn, key=rank)


def changed(space: SearchSpace, architecture: Architecture, times: int, rng: random.Random) -> Architecture:
    """The architecture mutated `times` times, which changes at most as many choices. Raises Rejected as `mutate`."""
    for _ in range(times):
        architecture = mutate(space, architecture, rng)
    return architecture


class Strength:
    """How many choices to change at once, learned from what became of the children that were told.

    Thompson sampling (1933) on whether a child beat its parent, for each number of changes from 1 to `most`; before
    anything is known, fewer changes are likelier.
    """

    def __init__(self, most: int) -> None:
        self._beaten = [[1.0, 1.0 + number] for number in range(most)]

    def draw(self, rng: random.Random) -> int:
        """A number of changes, from 1."""
        rates = [rng.betavariate(won, lost) for won, lost in self._beaten]
        return 1 + rates.index(max(rates))

    def learn(self, changes: int, won: bool) -> None:
        """A child with so many changes did, or did not, beat its parent."""
        self._beaten[changes - 1][0 if won else 1] += 1
