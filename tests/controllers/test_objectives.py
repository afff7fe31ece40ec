"""Tests of evolution with several objectives: fitness, scalarisation and hypervolume."""

import math
import random
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest

from nas.analysis import pareto
from nas.architecture import Architecture
from nas.controllers import Evolution, RandomSearch
from nas.controllers.genetic.nsga2 import by_fronts, point
from nas.controllers.genetic.operators import crossover, keep_best, mutate, tournament
from nas.controllers.genetic.steady_state import SteadyState
from nas.controllers.surrogate.encodings import Choices
from nas.controllers.surrogate.scalarisation import Scalarisation, random_weights, shortfall
from nas.errors import ConfigError
from nas.testing import ToySpace, check_controller
from nas.trial import Score, Trial

COSTS = ("parameters", "flops")


class Flat:
    """Ten choices of five options."""

    name = "flat"

    def decide(self, choose):
        return [choose(f"{i}", "abcde") for i in range(10)]


def flat(*picks):
    return Architecture("flat", {f"{i}": pick for i, pick in enumerate(picks)})


def done(number, architecture, value, *costs):
    metrics = dict(zip(COSTS, costs, strict=False))
    return Trial(number, architecture, 1, 0, "done", Score(value, 0.0, metrics=metrics))


def at(*points):
    """Trials of scores and parameters."""
    return [done(i, flat(*[i % 5] * 10), *numbers) for i, numbers in enumerate(points)]


class Costed:
    """A controller that is told of costs where the laws of controllers tell it scores alone."""

    def __init__(self, space, seed, **options):
        self.evolution = Evolution(space, seed=seed, objectives=COSTS, **options)

    def ask(self, n):
        return self.evolution.ask(n)

    def tell(self, trials):
        self.evolution.tell(
            [trial if trial.score is None else replace(trial, score=self.told(trial)) for trial in trials]
        )

    def told(self, trial):
        picks = trial.architecture.picks.values()
        return replace(trial.score, metrics={"parameters": float(sum(picks)), "flops": 1e300 / (1 + max(picks))})


def test_it_keeps_the_laws_of_controllers():
    options = {"population": 8, "tournament": 2, "first": 5, "pool": 10}
    check_controller(lambda space, seed: Costed(space, seed, **options), candidates=20, repeats=False)


def test_a_point_is_the_score_and_the_costs_all_to_be_made_large():
    assert point(done(0, flat(0), 0.5, 100.0, 7.0), ("flops", "parameters")) == (0.5, -7.0, -100.0)
    assert point(done(0, flat(0), 0.5), ()) == (0.5,)
    with pytest.raises(ConfigError, match=r"objectives name 'flop', .* lack: did you mean 'flops'"):
        Evolution(Flat(), objectives=("flop",)).tell([done(0, flat(*[0] * 10), 0.5, 100.0, 7.0)])


def test_an_objective_named_twice_is_refused():
    with pytest.raises(ConfigError, match="objectives name 'flops' twice"):
        Evolution(ToySpace(), objectives=("flops", "parameters", "flops"))


def test_standings_go_by_front_and_then_by_crowding():
    trials = at((0.9, 90), (0.5, 10), (0.8, 50), (0.85, 60), (0.4, 20), (0.5, math.nan))
    found = by_fronts("parameters")(trials)
    # By hand: of the front, the ends; then 0.8 between 0.5 and 0.85, and 0.85 between 0.8 and 0.9; then the dominated.
    assert found[0] == found[1] == (0, math.inf)
    assert found[2] == (0, pytest.approx(0.35 / 0.4 + 50 / 80))
    assert found[3] == (0, pytest.approx(0.1 / 0.4 + 40 / 80))
    assert found[4] == (-1, math.inf)
    assert found[5] == (-math.inf, 0)
    assert by_fronts("parameters")(trials[5:]) == [found[5]]


def alone(**options):
    return Evolution(
        Flat(), population=2, tournament=2, crossover=0.0, fresh=0.0, pool=1, first=1, objectives=COSTS[:1], **options
    )


def test_the_front_survives_and_the_dominated_are_no_parents():
    best, small, worse = flat(*[0] * 10), flat(*[1] * 10), flat(*[2] * 10)
    evolution = alone()
    evolution.tell([done(0, best, 0.9, 50.0), done(1, small, 0.2, 5.0)])
    evolution.tell([done(2 + i, worse, 0.1 - i / 100, 60.0) for i in range(3)])
    children = evolution.ask(60)

    def near(child, parent):
        return sum(child.picks[name] != index for name, index in parent.picks.items()) <= 3

    assert not any(near(child, worse) for child in children)
    assert {near(child, best) for child in children} == {True, False}
    assert all(near(child, best) or near(child, small) for child in children)


def test_a_cost_that_is_no_number_changes_nothing():
    clean, dirty = alone(), alone()
    rng = random.Random(0)
    for number in range(6):
        trial = done(number, flat(*[number % 5] * 10), rng.random(), rng.random())
        clean.tell([trial])
        dirty.tell([done(number, flat(*[4] * 10), 2.0, math.nan), trial, done(9, flat(*[3] * 10), 2.0, -math.inf)])
    assert clean.ask(20) == dirty.ask(20)


def test_weights_are_uniform_on_the_simplex():
    rng = random.Random(0)
    drawn = np.array([random_weights(3, rng) for _ in range(4000)])
    assert np.allclose(drawn.sum(axis=1), 1)
    assert np.allclose(drawn.mean(axis=0), 1 / 3, atol=0.02)
    assert abs((drawn[:, 0] < 0.5).mean() - 0.75) < 0.03  # 1 − (1 − x)² of it lies below x


def test_the_least_shortfall_is_on_the_front_and_every_point_of_the_front_is_someones():
    points = np.array([[1.0, 0.0], [0.7, 0.3], [0.3, 0.6], [0.0, 1.0], [0.25, 0.55], [0.0, 0.0]])
    assert shortfall(points, [1.0, 0.0]).tolist() == pytest.approx([1.05 * (1 - x) for x in points[:, 0]])
    rng = random.Random(0)
    chosen = {int(np.argmin(shortfall(points, random_weights(2, rng)))) for _ in range(400)}
    assert chosen == {0, 1, 2, 3}  # (0.3, 0.6) is in a dent: no sum of weighed objectives is largest there


def test_scalarisation_predicts_each_objective():
    rng = random.Random(0)
    scalarised = Scalarisation(COSTS[:1], lambda: [Choices()])
    assert not scalarised.ready
    for number in range(40):
        picks = [rng.randrange(5) for _ in range(10)]
        scalarised.tell(done(number, flat(*picks), float(picks[0]), float(sum(picks[1:]))))
    assert scalarised.ready
    # Of the first choice comes the score, of all others the cost: 4 and then zeros is the best in both.
    pool = [flat(first, *[rest] * 9) for first in (0, 4) for rest in (0, 4)]
    picked = [scalarised.ranked(pool, rng)[0] for _ in range(20)]
    assert picked.count(flat(4, *[0] * 9)) >= 18


def volumes(controller, trials=60):
    """The hypervolume that a search comes to: the score is a sum over choices, the cost one that works against it."""
    gains = np.random.default_rng(0).random((10, 5))
    prices = gains**2 + 0.3 * np.random.default_rng(1).random((10, 5))
    points = []
    for number in range(trials):
        (architecture,) = controller.ask(1)
        taken = list(architecture.picks.values())
        value, cost = (float(table[range(10), taken].sum()) for table in (gains, prices))
        controller.tell([done(number, architecture, value, cost)])
        points.append([value, -cost])
    return pareto.hypervolume(points, [0.0, -10.0])


def test_it_dominates_more_than_random_search_and_than_evolution_by_the_score_alone():
    seeds = range(16)
    found = [volumes(Evolution(Flat(), seed=seed, objectives=("parameters",), pool=50)) for seed in seeds]
    for other in (RandomSearch, Evolution):
        differences = [a - volumes(other(Flat(), seed=seed)) for a, seed in zip(found, seeds, strict=True)]
        assert fmean(differences) > 2 * stdev(differences) / math.sqrt(len(differences)) > 0


def test_an_evolution_of_composed_operators_keeps_the_laws_and_climbs():
    fronts = by_fronts()
    cycle = tournament(2, fronts, parents=2) >> crossover() >> mutate(1) >> keep_best(10, fronts)
    check_controller(lambda space, seed: SteadyState(space, cycle, seed=seed, first=6), candidates=20)
    controller = SteadyState(Flat(), cycle)
    found = []
    for number in range(150):
        (architecture,) = controller.ask(1)
        found.append(sum(architecture.picks.values()) / 10)
        controller.tell([done(number, architecture, found[-1])])
    assert fmean(found[-30:]) > 3 > fmean(found[:10]) + 0.5
