"""Rows of choices and the distances between them, against loops over the choices."""

import random

import numpy as np
import pytest

from nas.architecture import Architecture
from nas.controllers.encoding import NOT_MADE, Columns, apart, unlike
from nas.space import sample
from nas.testing import ToySpace


def drawn(count, seed):
    rng = random.Random(seed)
    return [sample(ToySpace(), rng) for _ in range(count)]


KNOWN, NEW = drawn(12, 0), drawn(9, 1)
NAMES = sorted({name for architecture in KNOWN + NEW for name in architecture.picks})


def made(*architectures):
    return [name for name in NAMES if any(name in architecture.picks for architecture in architectures)]


def rows():
    columns = Columns()
    columns.meet(KNOWN)
    columns.meet(NEW)
    return columns.rows(KNOWN), columns.rows(NEW)


def test_a_row_holds_the_picks_and_marks_what_was_not_chosen():
    columns = Columns()
    columns.meet([Architecture("s", {"a": 2, "b": 0})])
    columns.meet([Architecture("s", {"c": 1, "a": 0})])
    found = columns.rows([Architecture("s", {"c": 3, "a": 1}), Architecture("s", {"b": 4, "never met": 7})])
    assert found.tolist() == [[1, NOT_MADE, 3], [NOT_MADE, 4, NOT_MADE]]
    assert columns.rows([]).shape == (0, 3)


def test_unlike_is_the_fraction_of_choices_made_differently():
    found = unlike(*rows())
    assert found.shape == (12, 9)
    for i, one in enumerate(KNOWN):
        for j, other in enumerate(NEW):
            names = made(one, other)
            different = sum(one.picks.get(name) != other.picks.get(name) for name in names)
            assert found[i, j] == pytest.approx(different / len(names))


def test_apart_is_how_far_the_indices_are():
    known, new = rows()
    # One column each for the choices; their largest index among the known.
    largest = known.max(axis=0)
    columns = Columns()
    columns.meet(KNOWN)
    order = [name for architecture in KNOWN for name in architecture.picks]
    order = list(dict.fromkeys(order))
    found = apart(known, new, largest)
    for i, one in enumerate(KNOWN):
        for j, other in enumerate(NEW):
            total, names = 0.0, made(one, other)
            for name in names:
                a, b = one.picks.get(name), other.picks.get(name)
                top = max(largest[order.index(name)], 1) if name in order else 1
                total += 1 if a is None or b is None else abs(a - b) / top
            assert found[i, j] == pytest.approx(total / len(names))


def test_distances_are_zero_to_oneself_and_the_same_both_ways():
    known, _ = rows()
    for distance in (unlike(known, known), apart(known, known, known.max(axis=0))):
        assert not np.diagonal(distance).any()
        np.testing.assert_array_equal(distance, distance.T)
        assert distance.min() >= 0
        assert distance.max() <= 1


def test_a_space_without_choices_has_no_distances():
    nothing = Columns().rows([Architecture("s", {})] * 2)
    assert (
        unlike(nothing, nothing).tolist() == apart(nothing, nothing, nothing.max(axis=0)).tolist() == [[0, 0], [0, 0]]
    )
