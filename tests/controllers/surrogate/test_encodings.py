"""Tests of distances between architectures against loops over the choices."""

import math
import random

import numpy as np
import pytest
from helpers.controllers import distances

from nas.architecture import Architecture
from nas.controllers.surrogate.encodings import LONGEST_PATH, WIDTH, Choices, Paths
from nas.controllers.surrogate.predictor import encodings
from nas.errors import SpaceError
from nas.search_spaces.nas_bench_201.space import NasBench201
from nas.space import replay, sample
from nas.space.graph import walks
from nas.space.identity import network_key
from nas.testing import ToySpace


def drawn(count, seed):
    rng = random.Random(seed)
    return [sample(ToySpace(), rng) for _ in range(count)]


def encoded(architectures):
    choices = Choices()
    for architecture in architectures:
        choices.add(architecture)
    return choices


KNOWN, NEW = drawn(12, 0), drawn(9, 1)
LARGEST = {name: max(one.picks.get(name, 0) for one in KNOWN) for one in KNOWN for name in one.picks}


def by_loop(one, other):
    """Both distances; a choice that was never told is none."""
    unlike, apart, made = 0, 0.0, 0
    for name, largest in LARGEST.items():
        a, b = one.picks.get(name), other.picks.get(name)
        if a is None and b is None:
            continue
        made += 1
        unlike += a != b
        top = max(largest, 1)
        apart += 1 if a is None or b is None else abs(min(a, top) - min(b, top)) / top
    return unlike / made, apart / made


def test_distances_are_those_of_a_loop_over_the_choices():
    found = distances(encoded(KNOWN), KNOWN, NEW)
    expected = np.array([[by_loop(one, other) for other in NEW] for one in KNOWN])
    assert any(expected[..., 0].ravel() != expected[..., 1].ravel())
    for number, distance in enumerate(found):
        assert distance.shape == (12, 9)
        np.testing.assert_allclose(distance, expected[..., number], atol=1e-11)


def test_an_index_that_was_never_told_is_unlike_and_as_far_as_can_be():
    told = [Architecture("s", {"a": 0, "b": 0}), Architecture("s", {"a": 4, "b": 0})]
    unlike, apart = distances(encoded(told), told, [Architecture("s", {"a": 9, "b": 0, "never told": 3})])
    assert unlike.tolist() == [[0.5], [0.5]]
    assert apart.tolist() == [[0.5], [0.0]]


def test_of_what_was_told_only_the_given_ones_count():
    few = [KNOWN[i] for i in (1, 4, 5)]
    for found, alone in zip(distances(encoded(KNOWN), few), distances(encoded(few), few), strict=True):
        np.testing.assert_array_equal(found, alone)


def test_distances_are_zero_to_oneself_and_the_same_both_ways():
    for distance in distances(encoded(KNOWN), KNOWN):
        assert not np.diagonal(distance).any()
        np.testing.assert_array_equal(distance, distance.T)
        assert distance.min() >= 0
        assert distance.max() <= 1


def test_a_space_without_choices_has_no_distances():
    nothing = [Architecture("s", {})] * 2
    assert [distance.tolist() for distance in distances(encoded(nothing), nothing)] == [[[0, 0], [0, 0]]] * 2


def cells(count, seed, **options):
    space = NasBench201(**options)
    rng = random.Random(seed)
    return space, [sample(space, rng) for _ in range(count)]


def by_paths(space, architectures, new=None):
    paths = Paths(space)
    for architecture in architectures:
        paths.add(architecture)
    [found] = distances(paths, architectures, new)
    return found


def test_distances_by_paths_are_those_of_a_loop_over_the_sequences():
    space, drawn_cells = cells(30, 0, published=True)
    counted = [walks(space.graph(replay(space, cell)), LONGEST_PATH) for cell in drawn_cells]
    expected = np.zeros((30, 30))
    for i, one in enumerate(counted):
        for j, other in enumerate(counted):
            shared = sum(math.sqrt(times * other.get(walk, 0)) for walk, times in one.items())
            size = math.sqrt(sum(one.values()) * sum(other.values()))
            expected[i, j] = 1 - shared / size if size else float(one != other)
    found = by_paths(space, drawn_cells)
    assert len({walk for one in counted for walk in one}) < WIDTH / 2
    assert np.mean(np.abs(found - expected) < 1e-9) > 0.7
    np.testing.assert_allclose(found, expected, atol=0.15)  # where two sequences share a place
    np.testing.assert_allclose(by_paths(space, drawn_cells[:20], drawn_cells[20:]), found[:20, 20:], atol=1e-12)


def test_equal_networks_are_at_no_distance_and_others_apart():
    space, drawn_cells = cells(150, 1, published=True)
    keys = [network_key(space, cell) for cell in drawn_cells]
    same = np.array([[one == other for other in keys] for one in keys])
    found = by_paths(space, drawn_cells)
    assert same.sum() > 150
    assert not found[same].any()
    assert np.mean(found[~same] > 0) > 0.99
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_array_equal(found, found.T)


def test_a_space_that_draws_graphs_has_both_encodings_hashable_or_not():
    class Unhashable(NasBench201):
        __hash__ = None

    space, drawn_cells = cells(5, 2)
    assert [type(one) for one in encodings(ToySpace())] == [Choices]
    assert [type(one) for one in encodings(space)] == [Choices, Paths]
    np.testing.assert_array_equal(by_paths(Unhashable(), drawn_cells), by_paths(space, drawn_cells))


def test_a_bad_graph_is_an_error_for_people():
    class Bad(NasBench201):
        def graph(self, spec):
            return 3

    with pytest.raises(SpaceError, match="gives no usable graph"):
        by_paths(Bad(), cells(1, 0)[1])
