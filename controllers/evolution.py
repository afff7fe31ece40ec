"""Evolution with learned mutation strength, crossover and a surrogate model, for one objective or several."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nas.architecture import Architecture
from nas.bounds import check_number
from nas.errors import ConfigError
from nas.protocols import SearchSpace, ZeroCost
from nas.space import crossover, replay, sample
from nas.trial import Trial

from .genetic.nsga2 import by_fronts, point
from .genetic.operators import (
    MOST_TRIALS,
    MutationStrength,
    age_out,
    by_score,
    check_sizes,
    keep_best,
    mutated,
    winner,
)
from .genetic.population import population_measurements
from .surrogate.pool_selection import PoolSelection
from .surrogate.predictor import MOST_POOLED, encodings
from .surrogate.scalarisation import Scalarisation
from .surrogate.zero_cost_features import FeaturesOf
from .without_replacement import Unseen

MOST_CHANGES = 3
"""Maximum number of choices that one mutation changes."""


class Mutation(NamedTuple):
    """Mutation that made a child: its number of changes, and the score of the single parent."""

    changes: int
    parent_score: float


class Evolution:
    """Proposes the child of good parents that a predictor of scores ranks best among many.

    No network is proposed twice while another is left (with a `pool` of 1, no architecture); then `ask` returns fewer
    than it is asked for. The number of choices that a mutation changes is learned (`MutationStrength`); ordinal choices
    move to a neighbour more often than categorical ones (`ordinal_step`). A trial without a finite score, or finite
    costs, changes nothing.

    With `objectives`, tournaments and survival go by Pareto fronts as in NSGA-II, and the predictor's ranking by random
    weights of the objectives that are drawn anew for each proposal (`Scalarisation`). Trials then do not age, because
    all of a front are wanted, and no single lucky score dominates where many are kept.

    Args:
        space: Search space.
        seed: Seed of the proposals.
        population: The latest scored trials that may be parents, from 1; the best of all is always one of them.
        tournament: Draws of a tournament, from 1 to `population`.
        crossover: Fraction of the children with two parents, in [0, 1].
        fresh: Fraction of the children that are random samples instead, in [0, 1].
        pool: Children that the predictor chooses from, from 1; at 1 the predictor is not used. The better half of
            those that were not chosen enters the next pool.
        first: Random samples before evolution starts, from 1.
        objectives: Costs to be minimised beside the score, by their names among the scores' metrics: parameters,
            flops, latency_ms.
        zero_cost: Zero-cost scores that the predictor uses too: synflow, naswot, grad-norm, parameters.
        features: Function that computes them; a search passes its evaluator's (`nas.protocols.Featured.features`).
    """

    name = "evolution"

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        population: int = 20,
        tournament: int = 5,
        crossover: float = 0.3,
        fresh: float = 0.7,
        pool: int = 100,
        first: int = 10,
        objectives: tuple[str, ...] = (),
        zero_cost: tuple[ZeroCost, ...] = (),
        features: FeaturesOf | None = None,
    ) -> None:
        check_sizes(self.name, population, tournament)
        check_number(self.name, "crossover", crossover, 0.0, 1.0)
        check_number(self.name, "fresh", fresh, 0.0, 1.0)
        check_number(self.name, "pool", pool, 1, MOST_POOLED)
        check_number(self.name, "first", first, 1, MOST_TRIALS)
        for index, cost in enumerate(objectives):
            if cost in objectives[:index]:
                raise ConfigError(f"objectives name {cost!r} twice; name each cost once")
        self.objectives = tuple(objectives)
        self._space = space
        self._tournament = tournament
        self._crossover, self._fresh, self._pool, self._first = crossover, fresh, pool, first
        self._fitness = by_fronts(*objectives) if objectives else by_score
        self._survival = keep_best(population, self._fitness) if objectives else age_out(population)
        self._population: list[Trial] = []
        self._best: Trial | None = None
        self._num_scored = 0
        self._latest = 0
        self._unseen = Unseen(space, seed=seed, networks=pool > 1)
        self._predictor = Scalarisation(objectives, lambda: encodings(space, zero_cost, features))
        # With several objectives the leftovers of one choice were ranked by weights that the next choice does not use.
        self._selection = PoolSelection(self._unseen, self._predictor, pool, keep_leftovers=not objectives)
        self._strength = MutationStrength(MOST_CHANGES)
        self._pending: dict[Architecture, Mutation] = {}
        self._leftovers: dict[Architecture, Mutation] = {}

    def ask(self, n: int) -> list[Architecture]:
        """Proposes the next `n` architectures, or those that are left.

        Raises:
            SpaceError: The space rejects everything that is drawn.
        """
        return list(self._unseen.propose(n, self._propose))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Adds scored trials to the population, whether they were asked for or not.

        Raises:
            SpaceError: A trial is of another space.
        """
        for trial in trials:
            if not math.isfinite(trial.value):
                continue
            replay(self._space, trial.architecture)
            if not all(map(math.isfinite, point(trial, self.objectives))):
                continue
            self._num_scored += 1
            self._latest = max(self._latest, trial.number)
            self._unseen.see(trial.architecture)
            mutation = self._pending.pop(trial.architecture, None)
            if mutation is not None:
                won = self._is_nondominated(trial) if self.objectives else trial.value > mutation.parent_score
                self._strength.update(mutation.changes, won)
            self._population = self._survival.survivors([*self._population, trial])
            if self._pool > 1:
                self._predictor.tell(trial)
                self._selection.tell(trial.architecture, trial.value)
            if self._best is None or trial.value > self._best.value:
                self._best = trial

    def measurements(self) -> Mapping[str, float]:
        """Numbers of the population (`population_measurements`) and of the predictor (`PoolSelection.measurements`)."""
        return {**population_measurements(self._population, self._latest), **self._selection.measurements()}

    def _propose(self, rng: random.Random) -> Architecture | None:
        if self._best is None or self._num_scored < self._first:
            return self._unseen.draw(lambda: sample(self._space, rng), rng)
        # With several objectives the best score is on the front, which survives in any case.
        parents = self._population if self.objectives else [*self._population, self._best]
        fitness = self._fitness(parents)
        mutations = self._leftovers
        child = self._selection.choose(lambda: self._child(parents, fitness, mutations, rng), rng)
        if child in mutations:
            self._pending[child] = mutations[child]
        self._leftovers = {each: mutations[each] for each in self._selection.leftovers if each in mutations}
        return child

    def _child(
        self,
        parents: Sequence[Trial],
        fitness: Sequence[Any],
        mutations: dict[Architecture, Mutation],
        rng: random.Random,
    ) -> Architecture:
        """A child; one of a single parent is added to `mutations`."""
        if rng.random() < self._fresh:
            return sample(self._space, rng)
        parent = parents[winner(fitness, self._tournament, rng)]
        changes = self._strength.draw(rng)
        if rng.random() < self._crossover:
            other = parents[winner(fitness, self._tournament, rng)]
            both = crossover(self._space, parent.architecture, other.architecture, rng)
            return both if both in self._unseen else mutated(self._space, both, changes, rng)
        child = mutated(self._space, parent.architecture, changes, rng)
        mutations[child] = Mutation(changes, parent.value)
        return child

    def _is_nondominated(self, trial: Trial) -> bool:
        """Whether no trial of the population is at least as good in every objective."""
        points = np.array([point(each, self.objectives) for each in self._population])
        return not (points >= np.array(point(trial, self.objectives))).all(axis=1).any()
