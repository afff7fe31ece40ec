"""Tests of zero-cost features as ranks and distances against loops over pairs, with failing evaluators."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from helpers.controllers import distances

from nas.architecture import Architecture
from nas.controllers.surrogate import zero_cost_features as module
from nas.controllers.surrogate.zero_cost_features import Features, mean_difference

NAMES = ("synflow", "parameters")


def numbered(*numbers):
    return [Architecture("toy", {"n": n}) for n in numbers]


def stub_features(values):
    """A callable that gives architecture n the numbers `values[n]`, and the list of its calls."""
    asked = []

    def compute(architecture, names):
        asked.append(architecture.picks["n"])
        found = values[architecture.picks["n"]]
        if isinstance(found, BaseException):
            raise found
        return {name: value for name, value in zip(names, found, strict=False) if value is not None}

    return compute, asked


def slow_rank(value, met):
    met = [other for other in met if not math.isnan(other)]
    if math.isnan(value):
        return math.nan
    return sum((other < value) + 0.5 * (other == value) for other in met) / max(len(met), 1)


def add(features, architectures):
    for architecture in architectures:
        features.add(architecture)


def test_rows_are_ranks_among_what_was_met():
    rng = random.Random(0)
    pool = [-math.inf, -2.5, 0.0, 1.0, 1.0, 7.25, 1e300, math.inf, math.nan]
    values = [(rng.choice(pool), rng.choice(pool)) for _ in range(40)]
    found = Features(NAMES, stub_features(values)[0])
    add(found, numbered(*range(25)))
    rows = found.rows(numbered(*range(40)))
    slow = [[slow_rank(own[place], [met[place] for met in values[:25]]) for place in (0, 1)] for own in values]
    np.testing.assert_allclose(rows, slow)
    assert np.nanmin(rows) >= 0
    assert np.nanmax(rows) <= 1


def test_neither_scale_nor_order_nor_what_was_asked_before_matters():
    rng = random.Random(1)
    values = [(rng.gauss(0, 1), rng.gauss(0, 1)) for _ in range(30)]
    first = Features(NAMES, stub_features(values)[0])
    add(first, numbered(*range(20)))
    other = Features(NAMES, stub_features([(math.exp(9 * a), b**3) for a, b in values])[0])
    other.rows(numbered(*range(29, -1, -1)))
    add(other, numbered(*range(19, 9, -1)))
    add(other, numbered(*range(10)))
    np.testing.assert_array_equal(first.rows(numbered(*range(30))), other.rows(numbered(*range(30))))


def test_each_is_asked_for_once(monkeypatch):
    compute, asked = stub_features([(float(n), 0.0) for n in range(10)])
    found = Features(NAMES, compute)
    add(found, numbered(3, 4))
    found.rows(numbered(3, 4, 5))
    found.rows(numbered(5, 3))
    assert asked == [3, 4, 5]
    monkeypatch.setattr(module, "MOST_CACHED", 4)  # then the one unused for longest is forgotten, but counts as met
    before = found.rows(numbered(4, 3))
    found.rows(numbered(6, 7))
    assert asked == [3, 4, 5, 6, 7]
    found.rows(numbered(3, 8))
    np.testing.assert_array_equal(found.rows(numbered(4, 3)), before)
    assert asked == [3, 4, 5, 6, 7, 8, 4]


def test_what_cannot_be_told_is_missing_and_no_error():
    def compute(architecture, names):
        match architecture.picks["n"]:
            case 0:
                raise RuntimeError("cannot be built")
            case 1:
                return {}
            case 2:
                return {"synflow": 3.0}
            case 3:
                return None
            case _:
                return {"synflow": 4.0, "parameters": "many"}

    found = Features(NAMES, compute)
    add(found, numbered(0, 1, 2, 3, 4))
    rows = found.rows(numbered(0, 1, 2, 3, 4))
    assert np.isnan(rows[[0, 1, 3, 4]]).all()
    np.testing.assert_array_equal(rows[2], [0.5, math.nan])


def test_a_ctrl_c_is_let_through():
    with pytest.raises(KeyboardInterrupt):
        Features(NAMES, stub_features([KeyboardInterrupt()])[0]).rows(numbered(0))


def slow_distance(one, other):
    parts = []
    for a, b in zip(one, other, strict=True):
        if math.isnan(a) and math.isnan(b):
            continue
        parts.append(1.0 if math.isnan(a) or math.isnan(b) else abs(a - b))
    return sum(parts) / len(parts) if parts else 0.0


def test_between_is_the_mean_difference():
    rng = np.random.default_rng(0)
    first, second = (rng.random((n, 3)) for n in (9, 7))
    first[rng.random(first.shape) < 0.3] = np.nan
    second[rng.random(second.shape) < 0.3] = np.nan
    first[0] = second[0] = np.nan
    found = mean_difference(first, second)
    np.testing.assert_allclose(found, [[slow_distance(a, b) for b in second] for a in first])
    assert found.max() <= 1
    assert found[0, 0] == 0
    own = mean_difference(first, first)
    np.testing.assert_array_equal(own, own.T)
    np.testing.assert_array_equal(np.diagonal(own), 0)


def test_nothing_met_and_nothing_asked():
    found = Features(NAMES, stub_features([(1.0, 2.0)])[0])
    assert found.rows([]).shape == (0, 2)
    np.testing.assert_array_equal(found.rows(numbered(0)), [[0.0, 0.0]])
    assert mean_difference(found.rows([]), found.rows(numbered(0))).shape == (0, 1)


def test_distances_are_between_the_ranks_of_what_was_told_and_what_is_new():
    rng = random.Random(2)
    found = Features(NAMES, stub_features([(rng.gauss(0, 1), rng.gauss(0, 1)) for _ in range(30)])[0])
    add(found, numbered(*range(20)))
    [among], [across] = distances(found, numbered(3, 7)), distances(found, numbered(3, 7), numbered(21, 22, 23))
    rows = found.rows(numbered(3, 7, 21, 22, 23))
    np.testing.assert_array_equal(among, mean_difference(rows[:2], rows[:2]))
    np.testing.assert_array_equal(across, mean_difference(rows[:2], rows[2:]))
