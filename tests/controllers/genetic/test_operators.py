"""Tests of the evolutionary operators."""

import math
import random

import pytest

from nas.architecture import Architecture
from nas.controllers.genetic.operators import (
    MutationStrength,
    age_out,
    are_ordinal,
    by_score,
    crossover,
    keep_best,
    mutate,
    mutated,
    ordinal_step,
    tournament,
    winner,
)
from nas.errors import Rejected
from nas.space import neighbours
from nas.testing import OnePoint, Ten, Vast
from nas.trial import Score, Trial


def done(number, value, picks=0):
    return Trial(number, Architecture("flat", {"0": picks}), 1, 0, "done", Score(value, 0.0))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_tournament_picks_by_rank(size):
    population = [done(i, value) for i, value in enumerate((0.1, 0.7, 0.4, 0.2))]
    rng = random.Random(1)
    wins = [population[winner(by_score(population), size, rng)].value for _ in range(4000)]
    for worse, value in enumerate((0.1, 0.2, 0.4, 0.7)):
        expected = ((worse + 1) / 4) ** size - (worse / 4) ** size
        assert abs(wins.count(value) / 4000 - expected) < 5 * math.sqrt(0.25 / 4000)


def test_each_change_is_one_mutation():
    rng = random.Random(0)
    start = Architecture("vast", {f"{place}": 0 for place in range(40)})
    for times in (0, 1, 3):
        children = [mutated(Vast(), start, times, rng) for _ in range(50)]
        assert max(sum(index != 0 for index in child.picks.values()) for child in children) == times
    for _ in range(20):
        child = mutated(Ten(), Architecture("ten", {"a": 0, "b": 1}), 1, rng)
        assert child in set(neighbours(Ten(), Architecture("ten", {"a": 0, "b": 1})))


def test_what_cannot_change_is_rejected():
    with pytest.raises(Rejected):
        mutated(OnePoint(), Architecture("one-point", {"only": 0}), 1, random.Random(0))


def test_before_anything_is_known_fewer_changes_are_likelier():
    rng = random.Random(0)
    drawn = [MutationStrength(3).draw(rng) for _ in range(2000)]
    counts = [drawn.count(changes) for changes in (1, 2, 3)]
    assert sum(counts) == 2000
    assert counts[0] > counts[1] > counts[2] > 100


def test_the_strength_that_wins_is_drawn_and_the_odds_are_thompsons():
    strength = MutationStrength(2)
    for _ in range(8):
        strength.update(2, won=True)
        strength.update(1, won=False)
    strength.update(2, won=False)
    rng, own = random.Random(0), random.Random(1)
    drawn = [strength.draw(rng) for _ in range(3000)]
    # By the definition: Beta(1 + wins, 1 + losses), and a loss more to begin with for the second number of changes.
    expected = [1 + (own.betavariate(9, 3) > own.betavariate(1, 9)) for _ in range(3000)]
    assert abs(drawn.count(2) - expected.count(2)) < 30
    assert drawn.count(2) > 2900


def test_a_tournament_goes_by_any_comparison():
    population = [done(i, value, picks=i) for i, value in enumerate((0.1, 0.7, 0.4))]
    worst = tournament(20, lambda trials: [-trial.value for trial in trials], parents=2)
    assert worst.children(population, Vast(), random.Random(0)) == [population[0].architecture] * 2


def test_operators_are_made_one_after_the_other():
    vast = [Architecture("vast", {f"{place}": digit for place in range(40)}) for digit in (0, 5)]
    population = [Trial(i, each, 1, 0, "done", Score(float(i), 0.0)) for i, each in enumerate(vast)]
    rng = random.Random(0)
    breed = tournament(20) >> mutate(1) >> mutate(2)
    (child,) = breed.children(population, Vast(), rng)
    assert 1 <= sum(index != 5 for index in child.picks.values()) <= 3
    two = tournament(1, parents=2) >> (crossover() >> mutate(1))
    children = [child for _ in range(20) for child in two.children(population, Vast(), rng)]
    assert len(children) == 20
    near = [min(sum(index != digit for index in child.picks.values()) for digit in (0, 5)) for child in children]
    assert near.count(1) > 3  # both parents the same, and a change
    assert sum(changes > 10 for changes in near) > 3
    cycle = breed >> keep_best(3) >> age_out(2)
    told = [done(i, value) for i, value in enumerate((0.9, 0.1, 0.2, 0.8))]
    assert [trial.value for trial in cycle.survival.survivors(told)] == [0.2, 0.8]
    assert [trial.value for trial in (age_out(2) >> keep_best(1)).survivors(told)] == [0.8]
    assert cycle.reproduction is breed


def test_of_equals_the_latest_stays():
    told = [done(i, 0.5) for i in range(4)]
    assert keep_best(2).survivors(told) == told[2:]
    assert keep_best(9).survivors(told) == told


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([8, 16, 32], True),
        ((0.5, 0.25, 0.1), True),
        (range(2, 7), True),
        (range(5), False),
        ([0, 1, 2, 3], False),
        ([16, 32], False),
        (range(1, 3), False),
        ([1, 3, 2], False),
        ([1, 1, 2], False),
        (["1", "2", "3"], False),
        ([False, 2, 3], False),
        ([(1, 2), (3, 4), (5, 6)], False),
        ([1, 2, None], False),
    ],
)
def test_amounts_are_numbers_in_an_order(options, expected):
    assert are_ordinal(options) is expected


def test_amounts_go_to_a_neighbour_every_other_time_and_names_anywhere():
    rng, n = random.Random(0), 6000

    def shares(options, index):
        steps = [ordinal_step(options, index, rng) for _ in range(n)]
        return [steps.count(i) / n for i in range(len(options))]

    close = 5 * math.sqrt(0.25 / n)
    for index, expected in (
        (2, [0.125, 0.375, 0, 0.375, 0.125]),
        (0, [0, 0.625, 0.125, 0.125, 0.125]),
        (4, [0.125, 0.125, 0.125, 0.625, 0]),
    ):
        assert all(abs(a - b) < close for a, b in zip(shares([1, 3, 5, 7, 9], index), expected, strict=True))
    assert all(abs(a - b) < close for a, b in zip(shares("abcde", 2), [0.25, 0.25, 0, 0.25, 0.25], strict=True))
