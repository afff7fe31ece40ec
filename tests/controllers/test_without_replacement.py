"""Tests of sampling without replacement."""

import itertools
import random

import networkx as nx
import pytest

from nas import registry
from nas.architecture import Architecture
from nas.controllers import without_replacement as module
from nas.controllers.without_replacement import MOST_REMAINING, TRIES, Unseen
from nas.errors import Rejected, SpaceError
from nas.search_spaces.nas_bench_201.space import NasBench201
from nas.space import all_ends, enumerate_all, sample
from nas.space.identity import network_key
from nas.testing import Ten, ToySpace, Vast
from nas.trial import Score, Trial

ALL = list(enumerate_all(Ten()))


def all_but(*left):
    unseen = Unseen(Ten())
    for architecture in ALL:
        if architecture not in left:
            unseen.see(architecture)
    return unseen


def never():
    raise Rejected("no")


def test_what_was_seen_is_not_in_it():
    unseen = Unseen(Ten())
    assert ALL[0] in unseen
    unseen.see(ALL[0])
    assert ALL[0] not in unseen
    assert Architecture("ten", dict(ALL[0].picks)) not in unseen
    assert ALL[1] in unseen


def test_what_is_proposed_is_seen_at_once_and_the_same_however_many_are_asked_for():
    def proposed(*counts, seed=0):
        unseen = Unseen(Ten(), seed=seed)
        found = [
            one for n in counts for one in unseen.propose(n, lambda rng: unseen.draw(lambda: sample(Ten(), rng), rng))
        ]
        assert unseen.num_proposed == len(found)
        assert not any(one in unseen for one in found)
        return found

    assert proposed(4, 0, 3) == proposed(*[1] * 7) == proposed(99)[:7]
    assert sorted(one.key for one in proposed(99)) == sorted(one.key for one in ALL)
    assert proposed(7, seed=1) != proposed(7)


def test_the_first_unseen_draw_is_taken_whatever_was_rejected_before():
    drawn = iter([ALL[3], None, ALL[3], ALL[5], ALL[6]])

    def draw():
        found = next(drawn)
        return never() if found is None else found

    unseen = Unseen(Ten())
    unseen.see(ALL[3])
    assert unseen.draw(draw, random.Random(0)) == ALL[5]
    assert next(drawn) == ALL[6]
    assert ALL[5] in unseen  # to draw is not to see


@pytest.mark.parametrize("draw", [lambda: ALL[0], never])
def test_what_is_left_is_drawn_uniformly_when_draws_bring_nothing(draw):
    unseen = all_but(*ALL[4:8])
    found = [unseen.draw(draw, random.Random(k)) for k in range(400)]
    assert {found.count(architecture) > 60 for architecture in ALL[4:8]} == {True}
    assert set(found) == set(ALL[4:8])


def test_in_the_end_nothing_is_left():
    unseen, rng = Unseen(Ten()), random.Random(0)
    found = []
    while (architecture := unseen.draw(lambda: sample(Ten(), rng), rng)) is not None:
        unseen.see(architecture)
        found.append(architecture)
    assert sorted(found, key=ALL.index) == ALL
    assert unseen.draw(lambda: ALL[0], rng) is None
    assert unseen.pool(lambda: ALL[0], 5, rng) == []


def test_the_space_is_walked_through_once(monkeypatch):
    walks = []

    def counted(space):
        walks.append(space)
        return all_ends(space)

    monkeypatch.setattr(module, "all_ends", counted)
    unseen, rng = Unseen(ToySpace()), random.Random(0)
    seen = set()
    for _ in range(36):
        architecture = unseen.draw(never, rng)
        seen.add(architecture)
        unseen.see(architecture)
    assert seen == set(enumerate_all(ToySpace()))
    assert unseen.draw(never, rng) is None
    assert len(walks) == 1


class Deep:
    """Ten architectures that are allowed, of 10²⁰."""

    name = "deep"

    def decide(self, choose):
        depth = choose("depth", range(1, 21))
        spec = [choose(f"{place}", range(10)) for place in range(depth)]
        if depth > 1:
            choose.reject("too deep")
        return spec


@pytest.mark.parametrize("name", ["random", "evolution", "reinforce", "local-search"])
def test_a_space_that_rejects_nearly_all_ends(name):
    controller = registry.create("controller", name, {}, space=Deep(), seed=0)
    found = []
    while asked := controller.ask(1):
        found += asked
        controller.tell([Trial(len(found), *asked, budget=1, seed=0, state="done", score=Score(0.1 * len(found), 0.0))])
    assert len(set(found)) == len(found) == 10


def test_the_few_that_a_walk_found_are_not_taken_for_all(monkeypatch):
    """Of a space whose walk is cut short it goes on behind them."""
    monkeypatch.setattr(module, "MOST_ENUMERATED", 3)
    unseen, rng = Unseen(Ten()), random.Random(0)
    found = []
    while (architecture := unseen.draw(never, rng)) is not None:
        unseen.see(architecture)
        found.append(architecture)
    assert sorted(found, key=ALL.index) == ALL


def test_of_a_huge_space_the_first_that_are_left_must_do():
    unseen = Unseen(Vast())
    first = next(enumerate_all(Vast()))
    unseen.see(first)
    found = {unseen.draw(lambda: first, random.Random(k)) for k in range(20)}
    assert len(found) > 10
    # Among the first MOST_REMAINING architectures only the last three digits differ.
    assert all(sum(architecture.picks.values()) <= 27 for architecture in found)
    assert MOST_REMAINING == 1000


def test_a_pool_holds_different_unseen_ones():
    unseen, rng = all_but(*ALL[2:]), random.Random(0)
    pool = unseen.pool(lambda: sample(Ten(), rng), 5, rng)
    assert len(pool) == len(set(pool)) == 5
    assert not set(pool) & set(ALL[:2])
    unseen = all_but(ALL[9])
    assert unseen.pool(lambda: sample(Ten(), rng), 5, rng) == [ALL[9]]


def test_a_pool_draws_at_most_twice_its_size_and_then_at_least_one():
    calls = []

    def draw():
        calls.append(1)
        return ALL[0]

    unseen = all_but(ALL[0], ALL[7])
    assert unseen.pool(draw, 5, random.Random(0)) == [ALL[0]]
    assert len(calls) == 10
    calls.clear()
    unseen.see(ALL[0])
    assert unseen.pool(draw, 5, random.Random(0)) == [ALL[7]]
    assert len(calls) == 10 + TRIES


def test_a_space_error_is_passed_on():
    def broken():
        raise SpaceError("it is broken")

    with pytest.raises(SpaceError, match="it is broken"):
        Unseen(Ten()).draw(broken, random.Random(0))


def test_with_networks_what_is_the_same_network_is_seen_too():
    space = NasBench201()
    unseen, cells = Unseen(space, networks=True), list(itertools.islice(enumerate_all(space), 1000))
    first: dict[str, Architecture] = {}
    for architecture in cells:
        first.setdefault(network_key(space, architecture), architecture)
    assert len(first) < 0.8 * len(cells)
    for architecture in list(first.values())[:-1]:
        unseen.see(architecture)
    *_, (last_key, last) = first.items()
    assert unseen.is_new(last)
    assert all(unseen.is_new(one) == (network_key(space, one) == last_key) for one in cells[::20])
    drawn = iter([*cells[:9], last])
    assert unseen.draw(lambda: next(drawn), random.Random(0)) == last
    # The keys of a pool are not asked for.
    assert len(unseen.pool(lambda: random.Random(0).choice(cells), 1, random.Random(0))) == 1


def test_a_pool_begins_with_what_is_unseen_of_the_one_before():
    unseen = Unseen(Ten())
    unseen.see(ALL[2])
    drawn = iter(ALL[5:])
    assert unseen.pool(lambda: next(drawn), 4, random.Random(0), [ALL[1], ALL[2], ALL[3]]) == [
        ALL[1],
        ALL[3],
        *ALL[5:7],
    ]


def test_a_vast_space_of_one_network_comes_to_an_end(monkeypatch):
    class One(Vast):
        def graph(self, spec):
            return nx.DiGraph()

    monkeypatch.setattr(module, "MOST_ENUMERATED", 300)
    unseen, rng = Unseen(One(), networks=True), random.Random(0)
    unseen.see(sample(One(), rng))
    assert unseen.draw(lambda: sample(One(), rng), rng) is None
