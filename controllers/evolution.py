"""Evolution at its best: ageing, tournaments, mutation of a learned strength, crossover, and a predictor's choice; of
several objectives, by fronts."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.architecture import Architecture
from nas.bounds import check_number
from nas.errors import ConfigError
from nas.protocols import SearchSpace, ZeroCost
from nas.space import crossover, replay, sample
from nas.trial import Trial

from .genetic.nsga2 import by_fronts, point
from .genetic.operators import MOST_TRIALS, Strength, age_out, by_score, changed, check_sizes, keep_best, winner
from .surrogate.predictor import MOST_POOLED, encodings
from .surrogate.scalarisation import Compromise
from .surrogate.zero_cost_features import FeaturesOf
from .without_replacement import Unseen

MOST_CHANGES = 3


class Evolution:
    """Many children are made of good parents, and the one that the predictor draws as best is proposed.

    population  how many of the latest scored trials may be parents, from 1; the best of all stays one
    tournament  how many of them are drawn for the best to be the parent, from 1
    crossover   the fraction of children with two parents, in [0, 1]
    fresh       the fraction of the children that are random samples instead, in [0, 1]
    pool        how many children the predictor chooses from, from 1; 1 leaves the choice to evolution alone. The better
                half of those that are left over is chosen from again
    first       so many random samples come first, from 1
    objectives  costs to be made small beside a high score, by their names among the scores' metrics: parameters, flops,
                latency_ms. Then tournaments and survival go by fronts, as in NSGA-II, and the predictor's choice by a
                weighing of the objectives that is drawn anew for each proposal (`Compromise`). Nobody dies of age: of
                a front all are wanted, and where many are kept, no single lucky score rules
    zero_cost   scores before any training that the predictor may go by too: synflow, naswot, grad-norm, parameters
    features    tells them; a search gives what its evaluator has (`nas.protocols.Featured`)

    No network is proposed twice while another is left (with a `pool` of 1, no architecture); then `ask` gives less than
    it is asked for. How many choices a mutation changes is learned (`Strength`); amounts change to a neighbour more
    often than names do (`by_kind`). A trial without a finite score, or finite costs, changes nothing.
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
        for place, cost in enumerate(objectives):
            if cost in objectives[:place]:
                raise ConfigError(f"objectives name {cost!r} twice; name each cost once")
        self.objectives = tuple(objectives)
        self._space = space
        self._tournament = tournament
        self._crossover, self._fresh, self._pool, self._first = crossover, fresh, pool, first
        self._by = by_fronts(*objectives) if objectives else by_score
        self._survive = keep_best(population, self._by) if objectives else age_out(population)
        self._population: list[Trial] = []
        self._best: Trial | None = None
        self._scored = 0
        self._unseen = Unseen(space, seed=seed, networks=pool > 1)
        self._predictor = Compromise(objectives, lambda: encodings(space, zero_cost, features))
        self._strength = Strength(MOST_CHANGES)
        self._changes: dict[Architecture, tuple[int, float]] = {}
        self._made: dict[Architecture, tuple[int, float]] = {}
        self._left: list[Architecture] = []

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures, or what is left. Raises SpaceError when the space rejects all that is drawn."""
        return list(self._unseen.propose(n, self._propose))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Adds scored trials to the population, asked for or not. Raises SpaceError for those of another space."""
        for trial in trials:
            if not math.isfinite(trial.value):
                continue
            replay(self._space, trial.architecture)
            if not all(map(math.isfinite, point(trial, self.objectives))):
                continue
            self._scored += 1
            self._unseen.see(trial.architecture)
            changes, parent = self._changes.pop(trial.architecture, (0, 0.0))
            if changes:
                self._strength.learn(changes, won=self._moves_front(trial) if self.objectives else trial.value > parent)
            self._population = self._survive.keep([*self._population, trial])
            if self._pool > 1:
                self._predictor.tell(trial)
            if self._best is None or trial.value > self._best.value:
                self._best = trial

    def _propose(self, rng: random.Random) -> Architecture | None:
        if self._best is None or self._scored < self._first:
            return self._unseen.draw(lambda: sample(self._space, rng), rng)
        # The best score is on the front, which survives as it is.
        parents = self._population if self.objectives else [*self._population, self._best]
        standings = self._by(parents)
        made = self._made

        def draw() -> Architecture:
            return self._child(parents, standings, made, rng)

        pool = self._unseen.pool(draw, self._pool, rng, self._left)
        if len(pool) > 1 and self._predictor.ready:
            pool = self._predictor.ranked(pool, rng)
            # Of several objectives each choice is by other weights, and what is left over was the best by these.
            self._left = [] if self.objectives else pool[: self._pool // 2]
        child = next((one for one in pool if self._unseen.is_new(one)), None) or self._unseen.draw(draw, rng)
        if child in made:
            self._changes[child] = made[child]
        self._made = {one: made[one] for one in self._left if one in made}
        return child

    def _child(
        self,
        parents: Sequence[Trial],
        standings: Sequence[Any],
        made: dict[Architecture, tuple[int, float]],
        rng: random.Random,
    ) -> Architecture:
        """A child; in `made`, how many changes it was made by, and the score of its only parent."""
        if rng.random() < self._fresh:
            return sample(self._space, rng)
        parent = parents[winner(standings, self._tournament, rng)]
        changes = self._strength.draw(rng)
        if rng.random() < self._crossover:
            other = parents[winner(standings, self._tournament, rng)]
            both = crossover(self._space, parent.architecture, other.architecture, rng)
            return both if both in self._unseen else changed(self._space, both, changes, rng)
        child = changed(self._space, parent.architecture, changes, rng)
        made[child] = changes, parent.value
        return child

    def _moves_front(self, trial: Trial) -> bool:
        """Whether none of the population is at least as good in everything."""
        points = np.array([point(each, self.objectives) for each in self._population])
        return not (points >= np.array(point(trial, self.objectives))).all(axis=1).any()
