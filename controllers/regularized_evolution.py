"""Regularized evolution as published by Real et al. (arXiv 1802.01548)."""

from __future__ import annotations

from nas.protocols import SearchSpace
from nas.space import any_other

from .genetic import operators
from .genetic.operators import age_out, check_sizes, mutate
from .genetic.steady_state import SteadyState


class RegularizedEvolution(SteadyState):
    """Real et al., "Regularized Evolution for Image Classifier Architecture Search" (arXiv 1802.01548), algorithm 1.

    The winner of a tournament is the parent, one of its choices changes, and the oldest trial leaves the population.
    The defaults are the paper's, for 20,000 candidates; 10 and 3 are usual for a hundred. The paper's identity mutation
    (one in twenty) is left out, because it trains a network once more. An architecture may still be proposed again, as
    in `SteadyState`.

    Args:
        space: Search space.
        seed: Seed of the proposals.
        population: The latest scored trials that may be parents, from 1. Until so many are told, proposals are random
            samples, as the paper's first population is.
        tournament: Draws of a tournament with replacement, from 1 to `population`.
    """

    name = "regularized-evolution"

    def __init__(self, space: SearchSpace, *, seed: int = 0, population: int = 100, tournament: int = 25) -> None:
        check_sizes(self.name, population, tournament)
        cycle = operators.tournament(tournament) >> mutate(1, any_other) >> age_out(population)
        super().__init__(space, cycle, seed=seed, first=population)
