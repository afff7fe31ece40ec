"""Tests of the grid: completeness, and even coverage at every budget."""

import itertools
import random
from collections import Counter

import pytest
from helpers.controllers import Flat

from nas.architecture import Architecture
from nas.controllers import Grid, RandomSearch
from nas.controllers.grid import COMPLETE, Tree
from nas.space import enumerate_all
from nas.testing import Ten, ToySpace, Vast
from nas.trial import Score, Trial


class Alike:
    """Of 9 ends 3 are allowed."""

    name = "alike"

    def decide(self, choose):
        if choose("a", range(3)) != choose("b", range(3)):
            choose.reject("a and b must be alike")


class Lopsided:
    """One option of the first choice leads to a single architecture, the other to 64."""

    name = "lopsided"

    def decide(self, choose):
        if choose("rich", (False, True)):
            return [choose(f"{i}", range(4)) for i in range(3)]
        return None


def done(architecture):
    return Trial(0, architecture, 1, 0, "done", Score(0.5, 0.0))


def uneven(architectures, *names):
    """How much oftener the most frequent combination of these choices comes than the rarest."""
    counts = Counter(tuple(a.picks[name] for name in names) for a in architectures)
    return max(counts.values()) - (min(counts.values()) if len(counts) == 4 ** len(names) else 0)


@pytest.mark.parametrize("space", [ToySpace(), Ten(), Alike(), Lopsided(), Flat()], ids=lambda space: space.name)
@pytest.mark.parametrize("seed", range(2))
def test_every_architecture_comes_once(space, seed):
    everything = list(enumerate_all(space))
    found = Grid(space, seed=seed).ask(len(everything) + 5)
    assert len(found) == len(everything)
    assert set(found) == set(everything)


@pytest.mark.parametrize("seed", range(3))
def test_each_option_of_each_choice_comes_as_often_whatever_the_budget(seed):
    found = Grid(Flat(), seed=seed).ask(200)
    for budget in range(1, 201):
        assert [uneven(found[:budget], f"{i}") for i in range(6)] <= [2] * 6
        assert uneven(found[:budget], "0") <= 1
        assert uneven(found[:budget], "0", "1") <= 1
    control = RandomSearch(Flat(), seed=seed).ask(200)
    assert max(uneven(control[:100], f"{i}") for i in range(6)) > 5


def test_after_the_same_choices_the_options_come_by_turns():
    found = Grid(Lopsided()).ask(33)
    assert [architecture.picks["rich"] for architecture in found].count(0) == 1
    assert {architecture.picks["rich"] for architecture in found[:2]} == {0, 1}
    rich = [architecture for architecture in found if architecture.picks["rich"]]
    for budget in range(1, 33):
        assert uneven(rich[:budget], "0") <= 1
        assert uneven(rich[:budget], "0", "1") <= 1


def test_choices_that_do_not_depend_on_each_other_are_not_in_step():
    found = Grid(Flat()).ask(64)
    for one, other in itertools.combinations("012345", 2):
        assert len({(a.picks[one], a.picks[other]) for a in found}) > 12


def test_what_was_told_is_not_proposed_and_counts_for_evenness():
    told = Architecture("flat", {f"{i}": 2 for i in range(6)})
    grid = Grid(Flat())
    grid.tell([done(told), done(told)])
    found = grid.ask(4096)
    assert len(found) == 4095
    assert told not in found
    assert {architecture.picks["0"] for architecture in found[:3]} == {0, 1, 3}


def test_a_huge_space_is_not_listed():
    found = Grid(Vast()).ask(30)
    assert len(set(found)) == 30
    for place in range(40):
        assert set(Counter(architecture.picks[f"{place}"] for architecture in found).values()) == {3}


def test_the_tree_knows_every_walk_it_was_given_and_when_it_is_complete():
    """Against a set of walks, through a random tree of options."""
    rng = random.Random(0)
    for _ in range(30):
        depth = rng.randrange(4)
        sizes = {(): rng.randint(1, 3)}
        walks = [()]
        for _ in range(depth):
            walks = [(*walk, index) for walk in walks for index in range(sizes.setdefault(walk, rng.randint(1, 3)))]
        every = [[(sizes[walk[:i]], walk[i]) for i in range(depth)] for walk in walks]
        rng.shuffle(every)
        tree = Tree()
        for number, walk in enumerate(every):
            assert [other in tree for other in every] == [other in every[:number] for other in every]
            assert not tree.complete
            tree.add(walk)
        assert tree.complete
        assert tree.root == COMPLETE
