"""Evolutionary operators: selection, mutation, crossover and survival, and their composition.

`tournament(25) >> mutate(1) >> age_out(100)` is regularized evolution; `nas.controllers.genetic.steady_state` runs it.
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
"""The largest value of an option that counts trials, such as the size of a population."""
NEIGHBOUR_RATE = 0.5
"""Probability that a mutation of an ordinal choice goes to the next larger or smaller option."""
Fitness = Callable[[Sequence[Trial]], Sequence[Any]]
"""Fitness of a population: one value a trial, of any type that has an order; larger is better."""


def by_score(population: Sequence[Trial]) -> list[float]:
    """The scores as fitness."""
    return [trial.value for trial in population]


def winner(fitness: Sequence[Any], size: int, rng: random.Random) -> int:
    """Index of the winner of a tournament: the fittest of `size` draws with replacement; of equals, the first drawn."""
    drawn = [int(rng.random() * len(fitness)) for _ in range(size)]
    return max(drawn, key=fitness.__getitem__)


def ordinal_step(options: Sequence[Any], index: int, rng: random.Random) -> int:
    """A mutation step that prefers neighbours where options are ordinal.

    Args:
        options: The options of a choice, at least two.
        index: Index of the present option.
        rng: Generator to draw from.

    Returns:
        Index of another option: with probability `NEIGHBOUR_RATE` a neighbour's if the options are ordinal, else
        uniform.
    """
    if are_ordinal(options) and rng.random() < NEIGHBOUR_RATE:
        neighbours = [i for i in (index - 1, index + 1) if 0 <= i < len(options)]
        return neighbours[int(rng.random() * len(neighbours))]
    return any_other(options, index, rng)


def are_ordinal(options: Sequence[Any]) -> bool:
    """Whether options are three or more numbers that rise or fall, such as kernel sizes or numbers of layers.

    Numbers that count from 0 do not qualify, because they as often name things (the nodes that an edge may come from).
    """
    if isinstance(options, range):
        return len(options) > 2 and (options.start, options.step) != (0, 1)
    if len(options) < 3 or not all(isinstance(option, Real) and not isinstance(option, bool) for option in options):
        return False
    rising = all(a < b for a, b in itertools.pairwise(options))
    falling = all(a > b for a, b in itertools.pairwise(options))
    return (rising or falling) and list(options) != list(range(len(options)))


def mutated(
    space: SearchSpace, architecture: Architecture, times: int, rng: random.Random, step: Step = ordinal_step
) -> Architecture:
    """The architecture after `times` mutations, which change at most as many choices.

    Raises:
        Rejected: As `nas.space.mutate`.
    """
    for _ in range(times):
        architecture = choices.mutate(space, architecture, rng, step=step)
    return architecture


class MutationStrength:
    """Number of choices to mutate at once, learned by Thompson sampling (1933).

    For each number of changes, the probability that a child beats its parent has a Beta posterior. The priors favour
    few changes.

    Args:
        most: The largest number of changes, from 1.
    """

    def __init__(self, most: int) -> None:
        self._posteriors = [[1.0, 1.0 + number] for number in range(most)]

    def draw(self, rng: random.Random) -> int:
        """A number of changes, from 1 to `most`."""
        rates = [rng.betavariate(alpha, beta) for alpha, beta in self._posteriors]
        return 1 + rates.index(max(rates))

    def update(self, changes: int, won: bool) -> None:
        """Records whether a child with so many changes beat its parent."""
        self._posteriors[changes - 1][0 if won else 1] += 1


@dataclass(frozen=True)
class Survival:
    """Survivor selection. `a >> b` applies b to the survivors of a.

    Attributes:
        survivors: From a population in the order of telling to those that stay, in the same order.
    """

    survivors: Callable[[Sequence[Trial]], list[Trial]]

    def __rshift__(self, other: Survival) -> Survival:
        return Survival(lambda population: other.survivors(self.survivors(population)))


@dataclass(frozen=True)
class Variation:
    """Variation of architectures. `a >> b` applies b to the results of a.

    Attributes:
        vary: From architectures to new ones; may raise Rejected.
    """

    vary: Callable[[Sequence[Architecture], SearchSpace, random.Random], list[Architecture]]

    def __rshift__(self, other: Variation) -> Variation:
        return Variation(lambda parents, space, rng: other.vary(self.vary(parents, space, rng), space, rng))


@dataclass(frozen=True)
class Reproduction:
    """Reproduction of a population. `>>` a variation applies it to the children; `>>` a survival makes a `Cycle`.

    Attributes:
        children: From a population to children; may raise Rejected.
    """

    children: Callable[[Sequence[Trial], SearchSpace, random.Random], list[Architecture]]

    @overload
    def __rshift__(self, other: Variation) -> Reproduction: ...
    @overload
    def __rshift__(self, other: Survival) -> Cycle: ...
    def __rshift__(self, other: Variation | Survival) -> Reproduction | Cycle:
        if isinstance(other, Survival):
            return Cycle(self, other)
        return Reproduction(
            lambda population, space, rng: other.vary(self.children(population, space, rng), space, rng)
        )


@dataclass(frozen=True)
class Cycle:
    """A complete evolutionary cycle.

    Attributes:
        reproduction: Maker of the children.
        survival: Selection of the trials that stay in the population when a child is scored.
    """

    reproduction: Reproduction
    survival: Survival

    def __rshift__(self, other: Survival) -> Cycle:
        return Cycle(self.reproduction, self.survival >> other)


def tournament(size: int, fitness: Fitness = by_score, *, parents: int = 1) -> Reproduction:
    """Tournament selection of parents.

    Args:
        size: Draws with replacement in a tournament, from 1.
        fitness: Fitness that the tournament compares.
        parents: Number of parents, each the winner of a tournament of its own.
    """

    def children(population: Sequence[Trial], space: SearchSpace, rng: random.Random) -> list[Architecture]:
        values = fitness(population)
        return [population[winner(values, size, rng)].architecture for _ in range(parents)]

    return Reproduction(children)


def crossover() -> Variation:
    """Uniform crossover: one child of two parents."""
    return Variation(lambda parents, space, rng: [choices.crossover(space, parents[0], parents[1], rng)])


def mutate(times: int, step: Step = ordinal_step) -> Variation:
    """Mutation of each architecture, `times` times."""
    return Variation(
        lambda parents, space, rng: [mutated(space, architecture, times, rng, step) for architecture in parents]
    )


def age_out(size: int) -> Survival:
    """Survival of the latest `size` trials."""
    return Survival(lambda population: list(population[-size:]))


def keep_best(size: int, fitness: Fitness = by_score) -> Survival:
    """Survival of the fittest `size` trials; of equals, the latest."""

    def survivors(population: Sequence[Trial]) -> list[Trial]:
        if len(population) <= size:
            return list(population)
        values = fitness(population)
        order = sorted(range(len(population)), key=lambda i: (values[i], i))
        return [population[i] for i in sorted(order[-size:])]

    return Survival(survivors)


def check_sizes(controller: str, population: int, tournament: int) -> None:
    """Checks the sizes of a population, from 1, and of its tournaments, from 1 to the population's.

    Raises:
        ConfigError: An option of the named controller is out of range.
    """
    check_number(controller, "population", population, 1, MOST_TRIALS)
    check_number(controller, "tournament", tournament, 1, population)
