"""Regularized evolution as published: a tournament picks a parent, one of its choices changes, the oldest dies."""

from __future__ import annotations

from nas.protocols import SearchSpace
from nas.space import any_other

from .genetic import operators
from .genetic.operators import age_out, check_sizes, mutate
from .genetic.steady_state import SteadyState


class RegularizedEvolution(SteadyState):
    """Real et al., "Regularized Evolution for Image Classifier Architecture Search" (arXiv 1802.01548), algorithm 1.

    population  how many of the latest scored trials may be parents, from 1. Until that many are told, proposals are
                random samples, as the paper's first population is
    tournament  how many of them are drawn, with replacement as in the paper, for the best to be the parent, from 1

    The defaults are the paper's, for 20,000 candidates; 10 and 3 are usual for a hundred. The paper's identity mutation
    (one in twenty) is left out, for it trains a network once more. As `SteadyState` says, an architecture may be
    proposed again all the same.
    """

    name = "regularized-evolution"

    def __init__(self, space: SearchSpace, *, seed: int = 0, population: int = 100, tournament: int = 25) -> None:
        check_sizes(self.name, population, tournament)
        cycle = operators.tournament(tournament) >> mutate(1, any_other) >> age_out(population)
        super().__init__(space, cycle, seed=seed, first=population)
