"""Comparison of specs by value, with nan, and errors for values that cannot be compared."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from helpers.choices import FunctionSpace

from nas.checks.space import CheckedSpace, sample_checked
from nas.errors import SpaceError
from nas.space.specs import same_spec
from nas.testing import check_space


@dataclass(frozen=True)
class Rate:
    value: Any
    note: Any = field(default=0, compare=False)


@dataclass(frozen=True, eq=False)
class Identity:
    value: float


class Odd:
    def __eq__(self, other):
        raise ValueError("odd")


class Child(Rate):
    """Not decorated itself."""


EQUAL = [
    lambda: math.nan,
    lambda: float("nan"),
    lambda: np.float32("nan"),
    lambda: (1, [float("nan")], {"a": float("nan")}),
    lambda: Rate(float("nan"), note=object()),
    lambda: Child((float("nan"),)),
    lambda: ("a", 1.0, None, frozenset({1})),
    lambda: (np.int64(3), torch.tensor(3)),
]
OTHER = [
    (1, 2),
    ((1,), (1, 2)),
    ({"a": 1}, {"b": 1}),
    (float("nan"), 0.0),
    (Rate(1), Rate(2)),
    (Identity(1.0), Identity(1.0)),
    ([1], (1,)),
    (object(), object()),
]


@pytest.mark.parametrize("made", EQUAL)
def test_equal_values_are_the_same_spec(made):
    assert same_spec(made(), made())


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_values_are_another_spec(one, other):
    assert not same_spec(one, other)
    assert not same_spec(other, one)


@pytest.mark.parametrize("made", [lambda: np.ones(2), lambda: (1, np.ones(1)), lambda: [torch.ones(3)], lambda: Odd()])
def test_what_cannot_be_compared_is_said_in_words(made):
    with pytest.raises(SpaceError, match=r"the spec holds .*, whose == .*; return numbers, texts, tuples, lists"):
        same_spec(made(), made())


def test_nan_among_options_is_an_option_like_others():
    space = FunctionSpace(lambda choose: (choose("a", [0.1, float("nan")]), choose("b", [float("nan"), 1.0])))
    check_space(space)
    for seed in range(20):
        sample_checked(CheckedSpace(space), random.Random(seed))
    check_space(FunctionSpace(lambda choose: choose("a", [0.1, float("nan")])))


def test_a_spec_of_an_array_is_said_to_be_one_with_its_place():
    space = FunctionSpace(lambda choose: (choose("a", [1, 2]), np.ones(2)))
    with pytest.raises(SpaceError, match=r"type ndarray, whose == gives .*neither True nor False.* \(decide of Func"):
        sample_checked(CheckedSpace(space), random.Random(0))
