import math
import random

import pytest

from nas.architecture import Architecture, Score, Trial
from nas.controllers.operators import Strength, changed, tournament
from nas.errors import Rejected
from nas.space import neighbours
from nas.testing_toys import OnePoint, Ten, Vast


def done(number, value, picks=0):
    return Trial(number, Architecture("flat", {"0": picks}), 1, 0, "done", Score(value, 0.0))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_tournament_picks_by_rank(size):
    population = [done(i, value) for i, value in enumerate((0.1, 0.7, 0.4, 0.2))]
    rng = random.Random(1)
    wins = [tournament(population, size, rng).value for _ in range(4000)]
    for worse, value in enumerate((0.1, 0.2, 0.4, 0.7)):
        expected = ((worse + 1) / 4) ** size - (worse / 4) ** size
        assert abs(wins.count(value) / 4000 - expected) < 5 * math.sqrt(0.25 / 4000)


def test_a_tournament_goes_by_any_rank():
    population = [done(i, value) for i, value in enumerate((0.1, 0.7, 0.4))]
    found = {tournament(population, 20, random.Random(k), rank=lambda trial: -trial.value).value for k in range(20)}
    assert found == {0.1}


def test_each_change_is_one_mutation():
    rng = random.Random(0)
    start = Architecture("vast", {f"{place}": 0 for place in range(40)})
    for times in (0, 1, 3):
        children = [changed(Vast(), start, times, rng) for _ in range(50)]
        assert max(sum(index != 0 for index in child.picks.values()) for child in children) == times
    for _ in range(20):
        child = changed(Ten(), Architecture("ten", {"a": 0, "b": 1}), 1, rng)
        assert child in set(neighbours(Ten(), Architecture("ten", {"a": 0, "b": 1})))


def test_what_cannot_change_is_rejected():
    with pytest.raises(Rejected):
        changed(OnePoint(), Architecture("one-point", {"only": 0}), 1, random.Random(0))


def test_before_anything_is_known_fewer_changes_are_likelier():
    rng = random.Random(0)
    drawn = [Strength(3).draw(rng) for _ in range(2000)]
    counts = [drawn.count(changes) for changes in (1, 2, 3)]
    assert sum(counts) == 2000
    assert counts[0] > counts[1] > counts[2] > 100


def test_the_strength_that_wins_is_drawn_and_the_odds_are_thompsons():
    strength = Strength(2)
    for _ in range(8):
        strength.learn(2, won=True)
        strength.learn(1, won=False)
    strength.learn(2, won=False)
    rng, own = random.Random(0), random.Random(1)
    drawn = [strength.draw(rng) for _ in range(3000)]
    # By the definition: Beta(1 + wins, 1 + losses), and a loss more to begin with for the second number of changes.
    expected = [1 + (own.betavariate(9, 3) > own.betavariate(1, 9)) for _ in range(3000)]
    assert abs(drawn.count(2) - expected.count(2)) < 30
    assert drawn.count(2) > 2900
