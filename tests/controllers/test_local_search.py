"""Tests of local search against the paper's algorithm as a loop, and of its asynchronous parts."""

import math
import random

import pytest
from helpers.controllers import done, failed

from nas.architecture import Architecture
from nas.controllers import LocalSearch
from nas.space import enumerate_all, neighbours, replay
from nas.testing import ToySpace


class Flat:
    """125 architectures: three choices of five options."""

    name = "flat"

    def decide(self, choose):
        return tuple(choose(f"{i}", range(5)) for i in range(3))


class Deep:
    """A first choice that opens ten others: the neighbours across it are too many to list."""

    name = "deep"

    def decide(self, choose):
        return [choose(f"{i}", range(9)) for i in range(choose("depth", (1, 11)))]


def flat(*picks):
    return Architecture("flat", {f"{i}": pick for i, pick in enumerate(picks)})


def bumpy(architecture):
    """A landscape with several local optima."""
    return random.Random(f"bumps {architecture.key}").random() + 0.1 * sum(architecture.picks.values())


def run(controller, count, value, batch=1):
    asked = []
    while len(asked) < count and (proposals := controller.ask(batch)):
        asked += proposals
        controller.tell([done(len(asked), architecture, value(architecture)) for architecture in proposals])
    return asked


@pytest.mark.parametrize("seed", range(4))
def test_with_one_worker_it_is_the_algorithm_of_the_paper(seed):
    asked = run(LocalSearch(Flat(), seed=seed), 200, bumpy)
    assert sorted(map(bumpy, asked)) == sorted(map(bumpy, enumerate_all(Flat())))  # to the end, each once
    left, starts = list(asked), 0
    seen = set()
    while left:
        centre = left.pop(0)  # a start
        starts += 1
        seen.add(centre)
        while True:
            near = set(neighbours(Flat(), centre))
            new = near - seen
            assert set(left[: len(new)]) == new  # all neighbours that were not evaluated come next, in any order
            del left[: len(new)]
            seen |= new
            best = max(near, key=bumpy)
            if bumpy(best) <= bumpy(centre):
                break
            centre = best
    assert starts > 1


def test_a_smooth_landscape_is_climbed_at_once():
    for seed in range(5):
        asked = run(LocalSearch(Flat(), seed=seed), 1 + 4 * 12, lambda a: float(sum(a.picks.values())))
        assert flat(4, 4, 4) in asked


@pytest.mark.parametrize("batch", [3, 20])
def test_while_results_are_awaited_others_climb(batch):
    controller = LocalSearch(Flat(), seed=0)
    assert len(set(controller.ask(batch))) == batch  # nothing is told, and nobody waits
    asked = run(LocalSearch(Flat(), seed=0), 125, bumpy, batch=batch)
    assert len(set(asked)) == 125


def test_a_neighbourhood_waits_for_its_last_result():
    controller = LocalSearch(Flat(), seed=0)
    (start,) = controller.ask(1)
    controller.tell([done(0, start, 0.5)])
    near = controller.ask(12)
    assert set(near) == set(neighbours(Flat(), start))
    controller.tell([done(i, architecture, 0.6 + i / 100) for i, architecture in enumerate(near[:-1], 1)])
    (elsewhere,) = controller.ask(1)
    controller.tell([done(12, near[-1], 0.9)])
    # The last was the best: its neighbours come, and not those of the best so far.
    asked = controller.ask(5)
    assert set(asked) <= set(neighbours(Flat(), near[-1]))
    assert elsewhere not in asked


def test_failed_neighbours_are_passed_by():
    controller = LocalSearch(Flat(), seed=0)
    (start,) = controller.ask(1)
    controller.tell([done(0, start, 0.5)])
    near = controller.ask(12)
    controller.tell([failed(1, near[0]), done(2, near[1], math.nan)])
    controller.tell([done(i, architecture, 0.1 + i / 1000) for i, architecture in enumerate(near[2:], 3)])
    (elsewhere,) = controller.ask(1)  # a local optimum, as far as is known
    assert elsewhere not in near


def test_a_start_that_fails_is_left():
    controller = LocalSearch(Flat(), seed=0)
    (start,) = controller.ask(1)
    controller.tell([failed(0, start)])
    first = controller.ask(1)
    controller.tell([done(1, first[0], 0.1)])
    assert set(controller.ask(3)) <= set(neighbours(Flat(), first[0]))


def test_it_begins_from_the_best_that_was_told():
    controller = LocalSearch(Flat(), seed=0)
    controller.tell([done(0, flat(0, 0, 0), 0.1), done(1, flat(2, 2, 2), 0.9), done(2, flat(2, 2, 3), 0.2)])
    asked = controller.ask(11)
    assert set(asked) == set(neighbours(Flat(), flat(2, 2, 2))) - {flat(2, 2, 3)}


def test_known_neighbours_are_moved_to_without_being_proposed():
    controller = LocalSearch(Flat(), seed=0)
    controller.tell([done(0, flat(2, 2, 2), 0.5), done(1, flat(2, 2, 3), 0.2)])
    near = controller.ask(11)
    controller.tell([done(2, flat(2, 2, 3), 0.9)])  # measured again
    controller.tell([done(i, architecture, 0.1) for i, architecture in enumerate(near, 3)])
    assert set(controller.ask(4)) <= set(neighbours(Flat(), flat(2, 2, 3)))


def test_what_a_change_opens_is_drawn_not_listed():
    controller = LocalSearch(Deep(), seed=0)
    shallow = Architecture("deep", {"depth": 0, "0": 3})
    controller.tell([done(0, shallow, 0.5)])
    asked = controller.ask(9)  # eight other options, and one of the many depths
    deep = [architecture for architecture in asked if architecture.picks["depth"]]
    assert len(asked) == len(set(asked))
    assert len(deep) == 1
    assert deep[0].picks["0"] == 3
    for architecture in asked:
        replay(Deep(), architecture)


def test_without_an_allowed_neighbour_it_starts_again():
    class Pairs:
        name = "pairs"

        def decide(self, choose):
            if choose("a", (0, 1)) != choose("b", (0, 1)):
                choose.reject("a and b must be alike")

    asked = run(LocalSearch(Pairs()), 10, lambda _: 0.5)
    assert len(asked) == len(set(asked)) == 2


def test_it_beats_chance_on_the_toy_space():
    asked = run(LocalSearch(ToySpace()), 20, lambda a: float(len(a.picks)))
    assert max(len(architecture.picks) for architecture in asked) == 7
