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
from pydantic import BaseModel

from nas import bounds, config
from nas.bounds import check_number, check_numbers
from nas.config.optimizer_training import OptimizerConfig
from nas.config.schema import Config
from nas.errors import ConfigError
from nas.executors import SlotRequest
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
    "engine": {"slot_request": SlotRequest()},
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


def options_with(kind, named):
    """(room, component, option) of every option whose type, or a part of it, is `kind`, and not a number or tuple of
    numbers, which NUMBERS has."""
    for room in builtin.BUILT_IN:
        for name in components.names(room):
            for option, annotation in components.options_of(components.find(room, name)).items():
                parts = {annotation, typing.get_origin(annotation), *typing.get_args(annotation)}
                if kind in parts and option not in ARGUMENTS[room] and (room, name, option) not in named:
                    yield room, name, option


ALTERNATIVES = list(options_with(int, {each[:3] for each in NUMBERS}))
LISTS = list(options_with(tuple, set()))


def made(room, name, options):
    known = components.options_of(components.find(room, name))
    return components.create(room, name, options, **{k: v for k, v in ARGUMENTS[room].items() if k in known})


@pytest.mark.parametrize("room", sorted(builtin.BUILT_IN))
def test_every_number_of_every_component_has_both_bounds(room):
    options = [each for each in NUMBERS if each[0] == room]
    assert options or room == "engine"
    for (_, name, option, many, kind), value in itertools.product(options, BAD):
        wrong = [kind(value)] if many else kind(value)
        with pytest.raises(ConfigError) as caught:
            made(room, name, {option: wrong})
        assert re.search(rf"{option} = .*{re.escape(repr(kind(value)))}.*; (it must be|give) ", str(caught.value))


@pytest.mark.parametrize(("room", "name", "option"), ALTERNATIVES)
def test_numbers_beside_texts_or_lists_have_bounds_too(room, name, option):
    for value in (10**12, -(10**12)):
        with pytest.raises(ConfigError, match=rf"{option} = {value}; it must be a whole number from "):
            made(room, name, {option: value})


@pytest.mark.parametrize(("room", "name", "option"), LISTS)
def test_a_list_of_a_config_has_at_most_ten_thousand_values(room, name, option):
    for value in (["a"] * 100_000, list(range(100_000)), [[True] * 50_000, [True] * 50_000], [{"a": [0] * 10_000}]):
        started = time.monotonic()
        with pytest.raises(ConfigError, match=rf"option '{option}' is .*, of more than 10,000 values, which is the m"):
            made(room, name, {option: value})
        assert time.monotonic() - started < 2


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


def tables(model):
    """The fixed tables of a config's schema, at any depth."""
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from tables(kind)


def test_every_number_of_the_schemas_has_both_bounds():
    checked = 0
    for table in {each for schema in (Config, OptimizerConfig) for each in tables(schema)}:
        for name, field in table.model_fields.items():
            for kind in {field.annotation, *typing.get_args(field.annotation)} & {int, float}:
                bounds_of = {type(rule).__name__ for rule in rules_of(table, name)}
                assert bounds_of & {"Ge", "Gt"}, (table, name, kind)
                assert bounds_of & {"Le", "Lt"}, (table, name, kind)
                checked += 1
    assert checked > 25


def rules_of(table, name):
    """The rules of a field and of the types that it is annotated with."""
    annotation = typing.get_type_hints(table, include_extras=True)[name]
    unread, rules = [annotation], list(table.model_fields[name].metadata)
    while unread:
        part = unread.pop()
        rules += [rule for given in getattr(part, "__metadata__", ()) for rule in getattr(given, "metadata", (given,))]
        unread += typing.get_args(part)
    return rules


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
