"""Laws of the `choose` language on random conditional spaces, against a brute-force list made without it."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.space import count, crossover, enumerate_all, mutate, neighbours, num_options, replay, sample


@dataclass(frozen=True)
class Node:
    """A choice by name; each option opens the choices listed for it."""

    name: str
    options: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class TreeSpace:
    """Makes the choices of a tree; rejects picks whose sum leaves `remainder` on division by `modulus`."""

    nodes: tuple[Node, ...]
    modulus: int = 1
    remainder: int = 1
    name: str = "tree"

    def decide(self, choose):
        made = self._walk(self.nodes, choose)
        if sum(index for _, index in made) % self.modulus == self.remainder:
            choose.reject("an unlucky sum")
        return made

    def _walk(self, nodes, choose):
        made = []
        for node in nodes:
            index = choose(node.name, range(len(node.options)))
            made += [(node.name, index), *self._walk(node.options[index], choose)]
        return made

    def build(self, spec, task):
        raise NotImplementedError


def all_picks(nodes):
    """Every choice of a tree's nodes, as dicts: the product over nodes of the sum over options."""
    each = [
        [{node.name: i, **below} for i, opened in enumerate(node.options) for below in all_picks(opened)]
        for node in nodes
    ]
    return [{k: v for part in parts for k, v in part.items()} for parts in itertools.product(*each)]


def by_hand(space):
    allowed = [p for p in all_picks(space.nodes) if sum(p.values()) % space.modulus != space.remainder]
    return {Architecture(space.name, picks) for picks in allowed}


def random_nodes(rng, prefix="", depth=0):
    """Up to three choices side by side, of up to three options, which open others to a depth of three."""
    made = []
    for i in range(rng.randint(0 if depth else 1, 3 - depth)):
        name = f"{prefix}{i}"
        # Siblings may open choices of the same name, as with "0.width" under several operations.
        shared = random_nodes(rng, f"{name}.", depth + 1) if depth < 2 and rng.random() < 0.5 else None
        options = []
        for option in range(rng.randint(1, 3)):
            opens = () if depth == 2 or rng.random() < 0.3 else shared
            options.append(random_nodes(rng, f"{name}={option}.", depth + 1) if opens is None else opens)
        made.append(Node(name, tuple(options)))
    return tuple(made)


# Drawn from a seed: Hypothesis by itself draws trees of a handful of architectures.
SEEDS = st.integers(0, 2**32)
NODES = SEEDS.map(lambda seed: random_nodes(random.Random(seed))).filter(lambda n: len(all_picks(n)) <= 800)
TREES = st.builds(TreeSpace, NODES)
PICKY_TREES = st.builds(TreeSpace, NODES, modulus=st.integers(2, 4), remainder=st.integers(0, 1)).filter(by_hand)


def property_test(test):
    return settings(deadline=None, max_examples=60, derandomize=True, database=None)(test)


def differences(first, second):
    return [name for name in first.picks if name in second.picks and first.picks[name] != second.picks[name]]


@property_test
@given(space=TREES | PICKY_TREES)
def test_enumeration_is_the_brute_force_list_each_once(space):
    listed = list(enumerate_all(space))
    assert len(listed) == len(set(listed))
    assert set(listed) == by_hand(space)


@property_test
@given(space=TREES | PICKY_TREES)
def test_the_exact_count_is_the_length_of_the_list(space):
    counted = count(space)
    size = len(by_hand(space))
    assert (counted.value, counted.interval, counted.exact) == (size, (size, size), True)


@property_test
@given(space=TREES | PICKY_TREES, seed=SEEDS)
def test_the_estimated_count_agrees_with_the_list(space, seed):
    counted = count(space, limit=0, samples=400, seed=seed)
    assert not counted.exact
    low, high = counted.interval
    assert low <= counted.value <= (high or math.inf)
    # From 1.96 to 5 standard deviations of the logarithm; without an upper end, Markov's inequality at 1 in 400.
    factor = 400 if high is None else (high / max(low, 1)) ** (2.5 / 1.96)
    assert (counted.value - 1) / factor <= len(by_hand(space)) <= (math.inf if high is None else (high + 1) * factor)


@property_test
@given(space=TREES | PICKY_TREES, seed=SEEDS)
def test_a_sample_belongs_to_the_space_and_replays_to_the_same_spec(space, seed):
    drawn = sample(space, random.Random(seed))
    assert drawn in by_hand(space)
    assert drawn == sample(space, random.Random(seed))
    assert dict(replay(space, drawn)) == drawn.picks
    assert list(num_options(space, drawn)) == [name for name, _ in replay(space, drawn)]


@property_test
@given(space=TREES | PICKY_TREES, seed=SEEDS)
def test_a_mutant_differs_in_exactly_one_choice_and_what_it_opens(space, seed):
    rng = random.Random(seed)
    parent = sample(space, rng)
    near = [other for other in by_hand(space) if len(differences(parent, other)) == 1]
    if not near:
        with pytest.raises(Rejected):
            mutate(space, parent, rng)
        return
    mutant = mutate(space, parent, rng)
    assert mutant in near


@property_test
@given(space=TREES | PICKY_TREES, seed=SEEDS)
def test_neighbours_are_all_that_differ_in_one_choice_each_once(space, seed):
    centre = sample(space, random.Random(seed))
    near = list(neighbours(space, centre))
    assert len(near) == len(set(near))
    assert set(near) == {other for other in by_hand(space) if len(differences(centre, other)) == 1}


@property_test
@given(space=TREES | PICKY_TREES, seed=SEEDS)
def test_being_a_neighbour_is_mutual(space, seed):
    centre = sample(space, random.Random(seed))
    for other in itertools.islice(neighbours(space, centre), 20):
        assert centre in set(neighbours(space, other))


@property_test
@given(space=TREES | PICKY_TREES, seed=SEEDS)
def test_a_child_takes_every_choice_from_a_parent_that_made_it(space, seed):
    rng = random.Random(seed)
    first, second = sample(space, rng), sample(space, rng)
    child = crossover(space, first, second, rng)
    assert child in by_hand(space)
    for name, index in child.picks.items():
        parents = {parent.picks[name] for parent in (first, second) if name in parent.picks}
        assert index in parents or not parents
    assert crossover(space, first, first, rng) == first
