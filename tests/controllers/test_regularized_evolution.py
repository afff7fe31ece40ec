"""Tests of regularized evolution: tournaments, ageing and failed trials."""

import math
import random

import pytest
from helpers.controllers import Flat, done, failed

from nas.architecture import Architecture
from nas.controllers import RandomSearch, RegularizedEvolution
from nas.errors import ConfigError
from nas.space import neighbours, sample
from nas.testing import ToySpace


def flat(*picks):
    return Architecture("flat", {f"{i}": pick for i, pick in enumerate(picks)})


def parents(children, candidates):
    """Which of `candidates` each child can descend from."""
    near = {name: set(neighbours(Flat(), architecture)) for name, architecture in candidates.items()}
    return [{name for name in near if child in near[name]} for child in children]


FAR_APART = {"a": flat(0, 0, 0, 0, 0, 0), "b": flat(1, 1, 1, 1, 1, 1), "c": flat(2, 2, 2, 2, 2, 2)}


def test_until_the_population_is_told_proposals_are_random_samples():
    evolution, control = RegularizedEvolution(Flat(), seed=5, population=4, tournament=2), RandomSearch(Flat(), seed=5)
    rng = random.Random(0)
    for number in range(3):
        assert evolution.ask(2) == control.ask(2)
        evolution.tell([done(number, sample(Flat(), rng), rng.random()), failed(100, sample(Flat(), rng))])
    assert evolution.ask(2) == control.ask(2)
    evolution.tell([done(3, sample(Flat(), rng), 0.0)])
    assert evolution.ask(10) != control.ask(10)


def test_a_child_is_a_neighbour_of_a_living_parent():
    evolution = RegularizedEvolution(Flat(), population=2, tournament=1)
    evolution.tell([done(i, FAR_APART[name], 0.0) for i, name in enumerate("abc")])
    found = parents(evolution.ask(50), FAR_APART)
    assert {frozenset(each) for each in found} == {frozenset("b"), frozenset("c")}


def test_the_oldest_dies_even_when_it_is_the_best():
    evolution = RegularizedEvolution(Flat(), population=2, tournament=2)
    evolution.tell([done(0, FAR_APART["a"], 1.0), done(1, FAR_APART["b"], 0.1)])
    assert {"a"} in parents(evolution.ask(30), FAR_APART)
    evolution.tell([done(2, FAR_APART["c"], 0.2)])
    assert {"a"} not in parents(evolution.ask(30), FAR_APART)


def test_a_failed_trial_neither_becomes_a_parent_nor_ages_the_others():
    evolution = RegularizedEvolution(Flat(), population=2, tournament=2)
    evolution.tell([done(0, FAR_APART["a"], 1.0), done(1, FAR_APART["b"], 0.1)])
    evolution.tell([failed(i, FAR_APART["c"]) for i in range(5)])
    evolution.tell([done(9, FAR_APART["c"], math.nan)])
    assert {frozenset(each) for each in parents(evolution.ask(50), FAR_APART)} == {frozenset("a"), frozenset("b")}


def test_the_better_is_the_parent_as_often_as_the_paper_says():
    evolution = RegularizedEvolution(Flat(), population=3, tournament=2)
    evolution.tell([done(0, FAR_APART["a"], 0.3), done(1, FAR_APART["b"], 0.2), done(2, FAR_APART["c"], 0.1)])
    found = [name for each in parents(evolution.ask(900), FAR_APART) for name in each]
    # The best of two draws with replacement from three: 5/9, 3/9, 1/9; five standard deviations are 75 of 900.
    for name, expected in zip("abc", (500, 300, 100), strict=True):
        assert abs(found.count(name) - expected) < 75


def test_without_an_allowed_neighbour_it_samples():
    class Pairs:
        name = "pairs"

        def decide(self, choose):
            if choose("a", (0, 1)) != choose("b", (0, 1)):
                choose.reject("a and b must be alike")

    evolution = RegularizedEvolution(Pairs(), population=1, tournament=1)
    evolution.tell([done(0, Architecture("pairs", {"a": 0, "b": 0}), 0.5)])
    assert {architecture.picks["a"] for architecture in evolution.ask(20)} == {0, 1}


def test_it_climbs_to_the_optimum_that_random_search_misses():
    def best(controller):
        values = []
        for number in range(200):
            (architecture,) = controller.ask(1)
            values.append(sum(architecture.picks.values()))
            controller.tell([done(number, architecture, values[-1])])
        return max(values)

    assert [best(RegularizedEvolution(Flat(), seed=seed)) for seed in range(5)] == [18] * 5
    assert max(best(RandomSearch(Flat(), seed=seed)) for seed in range(5)) < 18


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 0}, "population = 0"),
        ({"tournament": 0}, "tournament = 0"),
        ({"population": 4}, "regularized-evolution tournament = 25; it must be a whole number from 1 to 4"),
    ],
)
def test_an_option_out_of_range_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        RegularizedEvolution(ToySpace(), **options)
