"""What evolution is made of: small functions of a population, and operators of them that compose.

`tournament(25) >> mutate(1) >> age_out(100)` is regularized evolution (`nas.controllers.genetic.steady_state` runs it).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, overload

from nas import space as choices
from nas.architecture import Architecture
from nas.bounds import check_number
from nas.protocols import SearchSpace
from nas.space import Step, any_other
from nas.trial import Trial

MOST_TRIALS = 1_000_000
"""The most scored trials that a population, or another option that counts trials, may ask for."""
By = Callable[[Sequence[Trial]], Sequence[Any]]
"""What a population is compared by: one value a trial, the better the larger."""
NEARBY = 0.5
"""How often a mutation of an amount goes to the next larger or smaller one."""


def by_score(population: Sequence[Trial]) -> list[float]:
    """The usual comparison."""
    return [trial.value for trial in population]


def winner(standings: Sequence[Any], size: int, rng: random.Random) -> int:
    """Who wins a tournament: the best of `size` draws with replacement, by index; of equals, the one drawn first."""
    drawn = [int(rng.random() * len(standings)) for _ in range(size)]
    return max(drawn, key=standings.__getitem__)


def by_kind(options: Sequence[Any], index: int, rng: random.Random) -> int:
    """A step of a mutation: of amounts every other one is to a neighbour; else all other options are alike."""
    if are_amounts(options) and rng.random() < NEARBY:
        near = [i for i in (index - 1, index + 1) if 0 <= i < len(options)]
        return near[int(rng.random() * len(near))]
    return any_other(options, index, rng)


def are_amounts(options: Sequence[Any]) -> bool:
    """Whether options are three or more numbers that rise or fall: a kernel's size, a number of layers.

    Numbers that count from 0 on name things as often (the nodes that an edge may come from), and do not count as such.
    """
    if isinstance(options, range):
        return len(options) > 2 and (options.start, options.step) != (0, 1)
    if len(options) < 3 or not all(isinstance(option, Real) and not isinstance(option, bool) for option in options):
        return False
    rising = all(a < b for a, b in itertools.pairwise(options))
    falling = all(a > b for a, b in itertools.pairwise(options))
    return (rising or falling) and list(options) != list(range(len(options)))


def changed(
    space: SearchSpace, architecture: Architecture, times: int, rng: random.Random, step: Step = by_kind
) -> Architecture:
    """The architecture mutated `times` times, which changes at most as many choices. Raises Rejected as
    `nas.space.mutate` does."""
    for _ in range(times):
        architecture = choices.mutate(space, architecture, rng, step=step)
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


@dataclass(frozen=True)
class Survive:
    """Who of a population, in the order of telling, stays in it. `a >> b`: of those whom a lets live, b."""

    keep: Callable[[Sequence[Trial]], list[Trial]]

    def __rshift__(self, other: Survive) -> Survive:
        return Survive(lambda population: other.keep(self.keep(population)))


@dataclass(frozen=True)
class Vary:
    """What becomes of architectures; may raise Rejected. `a >> b`: of what a made of them, b."""

    change: Callable[[Sequence[Architecture], SearchSpace, random.Random], list[Architecture]]

    def __rshift__(self, other: Vary) -> Vary:
        return Vary(lambda found, space, rng: other.change(self.change(found, space, rng), space, rng))


@dataclass(frozen=True)
class Breed:
    """How a population has children. `>>` what becomes of them; `>>` who survives, which makes it a whole Cycle."""

    make: Callable[[Sequence[Trial], SearchSpace, random.Random], list[Architecture]]

    @overload
    def __rshift__(self, other: Vary) -> Breed: ...
    @overload
    def __rshift__(self, other: Survive) -> Cycle: ...
    def __rshift__(self, other: Vary | Survive) -> Breed | Cycle:
        if isinstance(other, Survive):
            return Cycle(self, other)
        return Breed(lambda population, space, rng: other.change(self.make(population, space, rng), space, rng))


@dataclass(frozen=True)
class Cycle:
    """A whole evolution: how children are made and, once they are scored, who survives."""

    breed: Breed
    survive: Survive

    def __rshift__(self, other: Survive) -> Cycle:
        return Cycle(self.breed, self.survive >> other)


def tournament(size: int, by: By = by_score, *, parents: int = 1) -> Breed:
    """So many parents, each the winner of a tournament of its own."""

    def make(population: Sequence[Trial], space: SearchSpace, rng: random.Random) -> list[Architecture]:
        standings = by(population)
        return [population[winner(standings, size, rng)].architecture for _ in range(parents)]

    return Breed(make)


def crossover() -> Vary:
    """One child of two parents."""
    return Vary(lambda parents, space, rng: [choices.crossover(space, parents[0], parents[1], rng)])


def mutate(times: int, step: Step = by_kind) -> Vary:
    """Each changed so many times."""
    return Vary(lambda found, space, rng: [changed(space, architecture, times, rng, step) for architecture in found])


def age_out(size: int) -> Survive:
    """The latest so many stay."""
    return Survive(lambda population: list(population[-size:]))


def keep_best(size: int, by: By = by_score) -> Survive:
    """The best so many stay; of equals, the latest."""

    def keep(population: Sequence[Trial]) -> list[Trial]:
        if len(population) <= size:
            return list(population)
        standings = by(population)
        order = sorted(range(len(population)), key=lambda i: (standings[i], i))
        return [population[i] for i in sorted(order[-size:])]

    return Survive(keep)


def check_sizes(controller: str, population: int, tournament: int) -> None:
    """Raises ConfigError where a population or a tournament, which is at most the population, cannot be."""
    check_number(controller, "population", population, 1, MOST_TRIALS)
    check_number(controller, "tournament", tournament, 1, population)
