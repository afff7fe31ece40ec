"""Tests of a population's diversity and age against counts over all pairs."""

import itertools
import random
from statistics import fmean

import pytest

from nas.architecture import Architecture
from nas.controllers import Evolution, RegularizedEvolution
from nas.controllers.genetic.population import population_measurements
from nas.space import sample
from nas.testing import ToySpace
from nas.trial import Score, Trial


def done(number, architecture, value=0.5):
    return Trial(number, architecture, 1, 0, "done", Score(value, 0.0))


def differing(first, second):
    return sum(first.get(name) != second.get(name) for name in first.keys() | second.keys())


@pytest.mark.parametrize("size", [2, 3, 20])
def test_diversity_is_the_mean_over_pairs_where_a_choice_that_one_lacks_differs(size):
    rng = random.Random(size)
    population = [done(number, sample(ToySpace(), rng)) for number in range(size)]
    pairs = itertools.combinations([trial.architecture.picks for trial in population], 2)
    expected = fmean(differing(*pair) for pair in pairs)
    assert population_measurements(population, size)["diversity"] == pytest.approx(expected)


def test_of_few_trials_only_what_is_defined_is_given():
    alike = [done(number, Architecture("toy", {"layers": 0})) for number in (1, 4)]
    assert population_measurements([], 7) == {}
    assert population_measurements(alike[:1], 7) == {"age": 6.0}
    assert population_measurements(alike, 7) == {"age": 4.5, "diversity": 0.0}


@pytest.mark.parametrize("make", [Evolution, RegularizedEvolution])
def test_evolution_gives_those_of_its_latest_trials(make):
    controller, rng = make(ToySpace(), population=3, tournament=1), random.Random(0)
    assert controller.measurements() == {}
    trials = [done(number, sample(ToySpace(), rng)) for number in (5, 2, 9, 3, 7)]
    failed = Trial(8, trials[0].architecture, 1, 0, "failed", error="no")
    controller.tell([*trials, failed])
    assert controller.measurements() == population_measurements(trials[2:], 9)
    assert controller.measurements()["age"] == pytest.approx(9 - (9 + 3 + 7) / 3)
