"""Distances between architectures, against loops over the choices."""

import random

import numpy as np

from nas.architecture import Architecture
from nas.controllers.encoding import Choices
from nas.space import sample
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
    found = encoded(KNOWN).distances(np.arange(12), NEW)
    expected = np.array([[by_loop(one, other) for other in NEW] for one in KNOWN])
    assert any(expected[..., 0].ravel() != expected[..., 1].ravel())
    for number, distance in enumerate(found):
        assert distance.shape == (12, 9)
        np.testing.assert_allclose(distance, expected[..., number], atol=1e-11)


def test_an_index_that_was_never_told_is_unlike_and_as_far_as_can_be():
    told = [Architecture("s", {"a": 0, "b": 0}), Architecture("s", {"a": 4, "b": 0})]
    unlike, apart = encoded(told).distances(np.arange(2), [Architecture("s", {"a": 9, "b": 0, "never told": 3})])
    assert unlike.tolist() == [[0.5], [0.5]]
    assert apart.tolist() == [[0.5], [0.0]]


def test_what_is_kept_is_all_that_is_looked_at():
    choices = encoded(KNOWN)
    places = np.array([1, 4, 5])
    alone = encoded([KNOWN[i] for i in places]).distances(np.arange(3))
    for few, all_ in zip(choices.distances(places), alone, strict=True):
        np.testing.assert_array_equal(few, all_)


def test_distances_are_zero_to_oneself_and_the_same_both_ways():
    for distance in encoded(KNOWN).distances(np.arange(12)):
        assert not np.diagonal(distance).any()
        np.testing.assert_array_equal(distance, distance.T)
        assert distance.min() >= 0
        assert distance.max() <= 1


def test_a_space_without_choices_has_no_distances():
    nothing = encoded([Architecture("s", {})] * 2)
    assert [distance.tolist() for distance in nothing.distances(np.arange(2))] == [[[0, 0], [0, 0]]] * 2
