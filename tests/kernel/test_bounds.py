"""Bounds of every component's numeric options, and the messages about values outside them."""

from __future__ import annotations

import itertools
import math
import re
import time
import typing
from fractions import Fraction

import numpy as np
import pytest
from helpers.choices import FunctionSpace

from nas import bounds, config
from nas.bounds import check_number, check_numbers
from nas.errors import ConfigError
from nas.registry import builtin, components

ARGUMENTS = {
    "space": {},
    "controller": {"space": FunctionSpace(lambda choose: choose("a", (0, 1))), "seed": 0},
    "evaluator": {"space": None, "tasks": None, "learner": None},
    "tasks": {},
    "learner": {},
    "augmentation": {},
    "optimizer": {},
    "optimizee": {},
}


def number_options():
    """(room, component, option, whether it is a tuple, int or float) of every numeric option of every component."""
    for room in builtin.BUILT_IN:
        for name in components.names(room):
            for option, annotation in components.options_of(components.find(room, name)).items():
                many = typing.get_origin(annotation) is tuple
                kind = typing.get_args(annotation)[0] if many else annotation
                if kind in (int, float) and option not in ARGUMENTS[room]:
                    yield room, name, option, many, kind


NUMBERS = list(number_options())
BAD = [10**12, -1, -(10**12)]


def made(room, name, options):
    known = components.options_of(components.find(room, name))
    return components.create(room, name, options, **{k: v for k, v in ARGUMENTS[room].items() if k in known})


@pytest.mark.parametrize("room", sorted(builtin.BUILT_IN))
def test_every_number_of_every_component_has_both_bounds(room):
    options = [each for each in NUMBERS if each[0] == room]
    assert options
    for (_, name, option, many, kind), value in itertools.product(options, BAD):
        wrong = [kind(value)] if many else kind(value)
        with pytest.raises(ConfigError) as caught:
            made(room, name, {option: wrong})
        assert re.search(rf"{option} = .*{re.escape(repr(kind(value)))}.*; (it must be|give) ", str(caught.value))


@pytest.mark.parametrize("room", sorted(builtin.BUILT_IN))
def test_no_number_of_any_component_may_be_nan_or_infinite(room):
    options = [each for each in NUMBERS if each[0] == room]
    for (_, name, option, many, _), value in itertools.product(options, (math.nan, math.inf)):
        cls = components.find(room, name)  # called directly, because a config cannot hold nan or infinity
        arguments = {k: v for k, v in ARGUMENTS[room].items() if k in components.options_of(cls)}
        with pytest.raises(ConfigError, match=rf"{option} = \[?{value}\]?; "):
            cls(**arguments, **{option: (value,) if many else value})


@pytest.mark.parametrize(("room", "name", "option"), [each[:3] for each in NUMBERS if each[3]])
def test_no_choice_has_a_hundred_thousand_options(room, name, option):
    started = time.monotonic()
    with pytest.raises(ConfigError, match=rf"{option} = \[1, 2, 3.*…; give "):
        components.find(room, name)(**{option: tuple(range(1, 100_001))})
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("bound", "most"),
    [
        ((0, 10), [0, 10, np.int64(3)]),
        ((0.0, 10), [0, 0.0, 10, 10.0, Fraction(1, 3), np.float32(2)]),
    ],
)
def test_the_bounds_themselves_are_within(bound, most):
    for value in most:
        check_number("it", "n", value, *bound)
    check_numbers("it", "n", most[:1], *bound)


@pytest.mark.parametrize("value", [-1, 11, 1.0, True, "3", None, math.nan, np.float64(3), np.bool_(True)])
def test_whole_numbers_are_whole_and_within(value):
    with pytest.raises(ConfigError, match=r"^it n = .*; it must be a whole number from 0 to 10$"):
        check_number("it", "n", value, 0, 10)


@pytest.mark.parametrize("value", [0, 0.0, -1e-9, 10.1, True, "3", math.nan, math.inf])
def test_a_lower_bound_may_be_excluded(value):
    with pytest.raises(ConfigError, match=r"^it n = .*; it must be above 0 and at most 10$"):
        check_number("it", "n", value, 0.0, 10.0, above=True)


def test_the_options_of_a_choice_are_distinct_and_not_too_many():
    for values in ((1, 1), (), tuple(range(1001))):
        with pytest.raises(ConfigError, match=r"^it n = \[.*; give distinct whole numbers from 0 to 2,000, at l"):
            check_numbers("it", "n", values, 0, 2000)


@pytest.mark.parametrize(
    "change",
    [
        "space.widths=[1000000000000]",
        "space.depths=[3000]",
        "controller.population=1000000000",
        "evaluator.learner.steps=1000000000",
        "tasks.ways=1000000000",
        "evaluator.train_queries=1000000000",
        "search.deadline_s=1e12",
    ],
)
def test_a_config_with_a_huge_number_is_refused_with_its_place(change):
    started = time.monotonic()
    key, _, value = change.partition("=")
    changes = ["controller.name=evolution", change]
    with pytest.raises(ConfigError, match=rf"^--set {key.rpartition('.')[0]}.*{key.rpartition('.')[2]}"):
        config.load("quickstart", changes)
    assert time.monotonic() - started < 2
    assert float(value.strip("[]")) > bounds.MOST_OPTIONS
