"""Fronts, crowding and hypervolume against their definitions, written out slowly."""

import itertools
import math
import random

import numpy as np
import pytest

from nas.analysis.pareto import crowding, front, hypervolume, ranks


def dominates(a, b):
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(x > y for x, y in zip(a, b, strict=True))


def ranks_by_definition(points):
    """The longest chain of dominating points above each."""
    found = {}

    def rank(i):
        if i not in found:
            above = [rank(j) for j in range(len(points)) if dominates(points[j], points[i])]
            found[i] = 1 + max(above) if above else 0
        return found[i]

    return [rank(i) for i in range(len(points))]


def volume_by_inclusion_and_exclusion(points, reference):
    total = 0.0
    for size in range(1, len(points) + 1):
        for some in itertools.combinations(points, size):
            sides = [max(0.0, min(p[k] for p in some) - reference[k]) for k in range(len(reference))]
            total += (-1) ** (size + 1) * math.prod(sides)
    return total


def drawn(seed, count, objectives, levels=None):
    """Random points; of few `levels`, so that many are equal in some objective or in all."""
    rng = random.Random(seed)
    number = rng.random if levels is None else lambda: float(rng.randrange(levels))
    return [[number() for _ in range(objectives)] for _ in range(count)]


CASES = [(s, c, m, levels) for s in range(3) for c in (1, 2, 7, 60) for m in (1, 2, 3, 4) for levels in (None, 4)]


@pytest.mark.parametrize(("seed", "count", "objectives", "levels"), CASES)
def test_ranks_and_the_front_are_those_of_the_definition(seed, count, objectives, levels):
    points = drawn(seed, count, objectives, levels)
    expected = ranks_by_definition(points)
    assert ranks(points).tolist() == expected
    found = front(points).tolist()
    assert sorted(found) == [i for i, rank in enumerate(expected) if rank == 0]
    firsts = [points[i][0] for i in found]
    assert firsts == sorted(firsts, reverse=True)


@pytest.mark.parametrize("levels", [None, 5])
@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_the_hypervolume_is_that_of_the_union_of_boxes(objectives, levels):
    for seed, count in itertools.product(range(3), (1, 2, 9)):
        points = drawn(seed, count, objectives, levels)
        reference = [0.1 if levels is None else 1.0] * objectives
        expected = volume_by_inclusion_and_exclusion(points, reference)
        assert hypervolume(points, reference) == pytest.approx(expected, abs=1e-9)


def test_the_hypervolume_of_known_shapes():
    stairs = [[i, 10 - i] for i in range(1, 10)]
    assert hypervolume(stairs, [0, 0]) == 45
    assert hypervolume([*stairs, [20, 0], [5, -3], [4, 4]], [0, 0]) == 45  # not above the reference, or dominated
    corner = [list(p) for p in itertools.permutations((1.0, 2.0, 2.0))]
    assert hypervolume(corner, [0, 0, 0]) == 4 + 4 + 4 - 2 - 2 - 2 + 1
    assert hypervolume([[-1, 3]], [0, 0]) == 0
    assert hypervolume(np.zeros((0, 2)), [0, 0]) == 0


def test_the_hypervolume_of_many_points_is_what_darts_say():
    rng = np.random.default_rng(0)
    raw = np.abs(rng.standard_normal((120, 3)))
    points = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    darts = rng.random((40_000, 3))
    hit = np.zeros(len(darts), dtype=bool)
    for each in points:
        hit |= (darts <= each).all(axis=1)
    assert abs(hypervolume(points, [0, 0, 0]) - hit.mean()) < 5 * math.sqrt(0.25 / len(darts))
    assert hit.mean() > 0.3


def test_crowding_is_the_sum_of_the_gaps_beside_a_point():
    points = [[0.0, 10.0], [1.0, 9.0], [4.0, 5.0], [10.0, 0.0]]
    assert crowding(points).tolist() == [math.inf, 4 / 10 + 5 / 10, 9 / 10 + 9 / 10, math.inf]
    turned = [points[i] for i in (2, 0, 3, 1)]
    assert crowding(turned).tolist() == pytest.approx([1.8, math.inf, math.inf, 0.9])
    assert crowding([[1.0, 2.0]] * 3).tolist() == [0, 0, 0]
    assert crowding([[1.0, 2.0]] * 2).tolist() == [math.inf, math.inf]
    huge = [[0.0, 1e308], [1.0, 0.0], [2.0, -1e308]]
    assert crowding(huge).tolist() == [math.inf, 2.0, math.inf]


def test_what_is_no_table_of_finite_numbers_is_refused():
    for bad in ([1.0, 2.0], [[1.0, math.nan]], [[math.inf, 0.0]]):
        for use in (front, ranks, crowding):
            with pytest.raises(ValueError, match="finite numbers"):
                use(bad)
    with pytest.raises(ValueError, match="the reference has shape"):
        hypervolume([[1.0, 2.0]], [0.0])
