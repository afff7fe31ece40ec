"""Names and options of choices: what is refused, and conversion to plain Python values."""

from __future__ import annotations

import collections
import json
import random
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pytest
import torch
from helpers.choices import FunctionSpace

from nas import registry
from nas.architecture import Architecture
from nas.errors import SpaceError
from nas.options import plain
from nas.space import count, decide, enumerate_all, mutate, num_options, replay, sample


class Pair(NamedTuple):
    a: int
    b: float


class Letter(StrEnum):
    A = "a"


# --- names -----------------------------------------------------------------------------------------------------------

NO_NAMES = [0, True, 1.5, ("a", 0), None, b"op", [1], np.int64(3)]
MAKE = {
    "choose": lambda choose, name: choose(name, [1, 2]),
    "subset": lambda choose, name: choose.subset(name, [1, 2]),
    "permutation": lambda choose, name: choose.permutation(name, [1, 2]),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
@pytest.mark.parametrize("name", NO_NAMES, ids=repr)
def test_a_name_that_is_no_text_is_refused(make, name):
    kind = type(name).__name__
    with pytest.raises(
        SpaceError, match=rf"named .*of type {kind}; a choice's name must be a text: write f\"\{{i\}}\""
    ):
        sample(FunctionSpace(lambda choose: make(choose, name)), random.Random(0))


@pytest.mark.parametrize("controller", registry.names("controller"))
def test_every_controller_is_refused_a_name_that_is_no_text(controller):
    space = FunctionSpace(lambda choose: [choose(i, [1, 2, 3]) for i in range(3)])
    made = registry.create("controller", controller, {}, space=space, seed=0)
    with pytest.raises(SpaceError, match="a choice is named 0, of type int"):
        made.ask(1)


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_name_that_no_file_can_hold_is_refused(make):
    with pytest.raises(SpaceError, match=r"'\\ud800' has a lone surrogate"):
        sample(FunctionSpace(lambda choose: make(choose, "\ud800")), random.Random(0))


@pytest.mark.parametrize("name", ["", "ö 1", np.str_("a"), Letter.A])
def test_texts_of_every_kind_are_names_and_plain_afterwards(name):
    architecture = sample(FunctionSpace(lambda choose: choose(name, [1, 2])), random.Random(0))
    assert [type(each) for each in architecture.picks] == [str]
    assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture


def test_a_record_with_a_name_that_is_no_text_is_refused():
    with pytest.raises(SpaceError, match="a pick is named 3; the name of a choice must be a text"):
        Architecture.from_json({"space": "s", "picks": {3: 0}})


# --- options ---------------------------------------------------------------------------------------------------------

OPTIONS = {
    "a list of numpy numbers": (list(np.arange(4, 13, 4)), [4, 8, 12]),
    "an array": (np.arange(4, 13, 4), [4, 8, 12]),
    "an array of one": (np.array([7]), [7]),
    "truths": (np.array([True, False]), [True, False]),
    "texts": (np.array(["conv", "pool"]), ["conv", "pool"]),
    "reals": (np.array([0.5, 0.25], dtype=np.float32), [0.5, 0.25]),
    "long reals": ([np.longdouble(0.5), np.clongdouble(2)], [0.5, 2 + 0j]),
    "rows of an array": (np.array([[1, 2], [3, 4]]), [(1, 2), (3, 4)]),
    "a tensor": (torch.tensor([4, 8]), [4, 8]),
    "tensors": ([torch.tensor(4), torch.tensor([1.0, 2.0])], [4, (1.0, 2.0)]),
    "in tuples": ([(np.int64(3), "same"), ("b", [np.float64(2)])], [(3, "same"), ("b", [2.0])]),
    "in a named tuple": ([Pair(np.int64(1), np.float64(2))], [Pair(1, 2.0)]),
    "in a mapping": ([{"kernel": np.int64(3)}], [{"kernel": 3}]),
    "in a set": ([frozenset({np.int64(3)})], [frozenset({3})]),
    "a range": (range(2, 5), [2, 3, 4]),
    "a queue": (collections.deque([1, 2]), [1, 2]),
    "a text": ("ab", ["a", "b"]),
}


def types(value):
    """The types of a value and of all that it holds."""
    inner = value.items() if isinstance(value, dict) else value if isinstance(value, (tuple, list, frozenset)) else ()
    return [type(value), *(kind for each in inner for kind in types(each))]


@pytest.mark.parametrize(("options", "wanted"), OPTIONS.values(), ids=OPTIONS)
def test_options_are_plain_python_values(options, wanted):
    space = FunctionSpace(lambda choose: choose("a", options))
    specs = [replay(space, each) for each in enumerate_all(space)]
    assert specs == wanted
    assert types(specs) == types(wanted)
    for several in ("subset", "permutation"):
        space = FunctionSpace(lambda choose, how=several: getattr(choose, how)("a", options))
        spec = decide(space, lambda _name, number: number - 1)[0]
        assert types(sorted(spec, key=str)) == types(sorted(wanted, key=str))


@pytest.mark.parametrize("option", [(1, "a"), [1, (2, 3)], {"a": [1]}, object(), torch.nn.ReLU(), Pair(1, 2.0), "a"])
def test_an_option_that_is_plain_already_is_itself(option):
    assert plain(option) is option


@pytest.mark.parametrize(
    "options", [{1, 2}, {"a": 1}, iter([1]), 3, None, np.int64(3), np.array(3)], ids=lambda given: type(given).__name__
)
def test_what_has_no_order_of_its_own_is_refused_as_options(options):
    for make in (lambda c: c("a", options), lambda c: c.subset("a", options), lambda c: c.permutation("a", options)):
        with pytest.raises(SpaceError, match=rf"'a' has the options .*, of type {type(options).__name__}; give them"):
            sample(FunctionSpace(make), random.Random(0))


def test_an_empty_array_has_no_options():
    with pytest.raises(SpaceError, match="'a' has no options"):
        sample(FunctionSpace(lambda choose: choose("a", np.array([]))), random.Random(0))


def test_an_array_s_numbers_are_amounts_to_a_mutation_as_a_list_s_are():
    seen = []
    for options in ([4, 8, 12], np.arange(4, 13, 4), torch.arange(4, 13, 4)):
        space = FunctionSpace(lambda choose, given=options: (choose("a", given), choose("b", given)))
        parent = sample(space, random.Random(0))
        evolution = registry.create("controller", "evolution", {"first": 1}, space=space, seed=0)
        seen.append(([mutate(space, parent, random.Random(i)) for i in range(20)], evolution.ask(5)))
    assert seen[0] == seen[1] == seen[2]


def test_an_index_of_numpy_is_a_plain_one_and_a_fraction_is_none():
    space = FunctionSpace(lambda choose: choose("a", "abc"))
    spec, architecture = decide(space, lambda _name, _options: np.int64(1))
    assert (spec, type(architecture.picks["a"])) == ("b", int)
    assert architecture.key == Architecture("function", {"a": 1}).key
    proposed = Architecture("function", {"a": np.int64(1), "b": True})
    assert [type(each) for each in proposed.picks.values()] == [int, int]
    assert proposed.key == Architecture("function", {"a": 1, "b": 1}).key
    with pytest.raises(TypeError):
        Architecture("function", {"a": 1.0})


# --- subsets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(4))
def test_a_cap_above_the_number_of_options_is_a_cap(size):
    space, whole = (FunctionSpace(lambda c, most=m: c.subset("s", range(size), max=most)) for m in (3, None))
    assert list(enumerate_all(space)) == list(enumerate_all(whole))
    assert count(space).value == 2**size


def test_a_growing_list_may_be_capped():
    def grows(choose):
        return [choose.subset(f"{i}.inputs", range(i), max=2) for i in range(5)]

    sizes = num_options(FunctionSpace(grows), sample(FunctionSpace(grows), random.Random(0)))
    assert set(sizes.values()) == {2}


@pytest.mark.parametrize(("least", "most"), [(-1, 2), (3, 2), (4, None), (4, 9), (0, -1)])
def test_a_subset_of_impossible_size_names_both_ends(least, most):
    space = FunctionSpace(lambda choose: choose.subset("ops", "abc", min=least, max=most))
    with pytest.raises(SpaceError, match=rf"'ops' of 3 options has min = {least} and max = {most}; min must be from 0"):
        sample(space, random.Random(0))
