"""Tests of evolution: parents, children and the effect of the predictor."""

import math
import random

import pytest
from helpers.controllers import done

from nas.architecture import Architecture
from nas.controllers import Evolution, RandomSearch
from nas.errors import ConfigError
from nas.testing import ToySpace
from nas.trial import Trial


class Flat:
    """Twelve choices of six options."""

    name = "flat"

    def decide(self, choose):
        return [choose(f"{i}", range(6)) for i in range(12)]


def flat(pick):
    return Architecture("flat", {f"{i}": pick for i in range(12)})


def alone(**options):
    """Without the predictor, without strangers, without crossover, of a population of two."""
    return Evolution(
        Flat(), **{"population": 2, "tournament": 2, "crossover": 0.0, "fresh": 0.0, "pool": 1, "first": 1, **options}
    )


def changes(architecture, parent):
    return sum(parent.picks[name] != index for name, index in architecture.picks.items())


def test_the_first_are_random_samples():
    evolution, control = Evolution(Flat(), seed=5, first=4), RandomSearch(Flat(), seed=5)
    for number in range(4):
        asked = evolution.ask(1)
        assert asked == control.ask(1)
        evolution.tell([done(number, asked[0], 0.1 * number)])
    assert evolution.ask(5) != control.ask(5)


def test_children_are_few_changes_from_the_best_parent():
    evolution = alone()
    evolution.tell([done(0, flat(0), 0.1), done(1, flat(3), 0.9)])
    children = evolution.ask(60)
    near = [min(changes(child, flat(0)), changes(child, flat(3))) for child in children]
    assert set(near) == {1, 2, 3}
    # The best of all is drawn beside the two living: it wins where it is drawn at all in two draws of three.
    best = sum(changes(child, flat(3)) <= 3 for child in children)
    assert best > 45
    assert best < 60


def test_the_oldest_dies_but_the_best_of_all_stays():
    evolution = alone(tournament=1)
    evolution.tell([done(i, flat(i), value) for i, value in enumerate((0.5, 1.0, 0.3, 0.2, 0.1))])
    children = evolution.ask(60)
    parents = {next(i for i in range(5) if changes(child, flat(i)) <= 3) for child in children}
    assert parents == {1, 3, 4}


def test_a_crossover_takes_each_choice_from_one_of_its_parents():
    evolution = alone(crossover=1.0, tournament=1)
    evolution.tell([done(0, flat(0), 0.1), done(1, flat(3), 0.9)])
    children = [child for child in evolution.ask(60) if changes(child, flat(0)) > 3 and changes(child, flat(3)) > 3]
    assert len(children) > 15
    assert {index for child in children for index in child.picks.values()} == {0, 3}


def test_strangers_come_as_often_as_they_should():
    evolution = alone(fresh=0.5)
    evolution.tell([done(0, flat(0), 0.1), done(1, flat(3), 0.9)])
    strangers = sum(changes(child, flat(0)) > 3 and changes(child, flat(3)) > 3 for child in evolution.ask(400))
    assert abs(strangers - 200) < 50


def test_the_strength_that_wins_is_used_more():
    """Children by three changes beat their parent, the others do not; told by turns with the parent, it stays one."""

    def share(winner):
        evolution, parent = alone(population=1, tournament=1), done(0, flat(0), 0.5)
        for number in range(40):
            evolution.tell([parent])
            children = [child for child in evolution.ask(2) if changes(child, flat(0)) <= 3]
            evolution.tell(
                [done(number, c, 0.5 + 1e-9 * number if changes(c, flat(0)) == winner else 0.1) for c in children]
            )
        evolution.tell([parent])
        asked = [child for child in evolution.ask(200) if changes(child, flat(0)) <= 3]
        return sum(changes(child, flat(0)) == 3 for child in asked) / len(asked)

    assert share(3) > share(1) + 0.3


def test_the_predictor_chooses_the_better_children():
    def mean(pool):
        values = []
        for seed in range(3):
            evolution = Evolution(Flat(), seed=seed, pool=pool)
            for number in range(40):
                (architecture,) = evolution.ask(1)
                values.append(sum(architecture.picks.values()) / 60)
                evolution.tell([done(number, architecture, values[-1])])
        return sum(values) / len(values)

    assert mean(50) > mean(1) + 0.05


def test_scores_that_are_no_numbers_make_no_parents():
    clean, dirty = alone(), alone()
    rng = random.Random(0)
    for number in range(10):
        trial = done(number, flat(number % 6), rng.random())
        clean.tell([trial])
        dirty.tell([done(number, flat(5), math.nan), trial, Trial(number, flat(4), 1, 0, "failed", error="broke")])
    assert clean.ask(20) == dirty.ask(20)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 0}, "population = 0"),
        ({"tournament": 0}, "tournament = 0"),
        ({"population": 4}, "evolution tournament = 5; it must be a whole number from 1 to 4"),
        ({"crossover": -0.1}, "crossover = -0.1; it must be from 0 to 1"),
        ({"fresh": 1.5}, "fresh = 1.5; it must be from 0 to 1"),
        ({"pool": 0}, "pool = 0; it must be a whole number from 1"),
        ({"first": 0}, "first = 0; it must be a whole number from 1"),
    ],
)
def test_an_option_out_of_range_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Evolution(ToySpace(), **options)


def test_first_counts_scores_whatever_the_population(monkeypatch):
    children, child = [], Evolution._child

    def counted(self, *arguments):
        children.append(self._num_scored)
        return child(self, *arguments)

    monkeypatch.setattr(Evolution, "_child", counted)
    controller = Evolution(Flat(), first=12, population=5, tournament=2, pool=1)
    for number in range(15):
        (architecture,) = controller.ask(1)
        controller.tell([done(number, architecture, number)])
    assert sorted(set(children)) == [12, 13, 14]
