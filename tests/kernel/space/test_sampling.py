"""Samples, mutations, subsets and permutations, and errors of spaces that break the rules."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from helpers.choices import FunctionSpace

from nas.architecture import Architecture
from nas.errors import Rejected, SpaceError
from nas.space import (
    MAX_CHOICES,
    Count,
    count,
    crossover,
    decide,
    enumerate_all,
    mutate,
    neighbours,
    num_options,
    replay,
    sample,
    sample_uniformly,
)


def test_both_parents_are_taken_from_alike():
    space = FunctionSpace(lambda choose: choose("a", (0, 1)))
    zero, one = (Architecture("function", {"a": i}) for i in (0, 1))
    children = [crossover(space, zero, one, random.Random(seed)) for seed in range(400)]
    assert 150 < children.count(one) < 250  # 5 standard deviations of a fair coin


def test_samples_are_uniform_over_the_options_of_a_choice():
    space = FunctionSpace(lambda choose: choose("a", range(4)))
    rng = random.Random(0)
    counts = [0] * 4
    for _ in range(4000):
        counts[sample(space, rng).picks["a"]] += 1
    chi_square = sum((n - 1000) ** 2 / 1000 for n in counts)
    assert chi_square < 21.1  # exceeded once in 10,000 with 3 degrees of freedom


def test_mutants_reach_every_choice_and_option():
    space = FunctionSpace(lambda choose: (choose("a", range(3)), choose("b", range(3)), choose("c", (0,))))
    parent = Architecture("function", {"a": 1, "b": 1, "c": 0})
    mutants = {mutate(space, parent, random.Random(seed)) for seed in range(200)}
    assert mutants == set(neighbours(space, parent))
    assert len(mutants) == 4


@pytest.mark.parametrize("size", range(5))
def test_a_subset_yields_every_subset_of_allowed_size_once(size):
    options = "abcd"[:size]
    for least, most in itertools.combinations_with_replacement(range(size + 1), 2):
        space = FunctionSpace(lambda choose, a=least, b=most: choose.subset("s", options, min=a, max=b))
        specs = ["".join(replay(space, each)) for each in enumerate_all(space)]
        wanted = [c for n in range(least, most + 1) for c in map("".join, itertools.combinations(options, n))]
        assert sorted(specs) == sorted(wanted)


def test_a_subset_may_be_of_any_size_by_default():
    space = FunctionSpace(lambda choose: choose.subset("s", range(5)))
    assert count(space).value == 2**5


@pytest.mark.parametrize("size", range(5))
def test_a_permutation_yields_every_order_once(size):
    space = FunctionSpace(lambda choose: choose.permutation("p", range(size)))
    specs = [tuple(replay(space, each)) for each in enumerate_all(space)]
    assert len(specs) == math.factorial(size)
    assert set(specs) == set(itertools.permutations(range(size)))


def test_a_name_used_twice_is_an_error():
    space = FunctionSpace(lambda choose: (choose("op", (1, 2)), choose("op", (1, 2))))
    with pytest.raises(SpaceError, match="'op' is made twice"):
        sample(space, random.Random(0))


def test_a_choice_without_options_is_an_error():
    with pytest.raises(SpaceError, match="'op' has no options"):
        sample(FunctionSpace(lambda choose: choose("op", ())), random.Random(0))


def test_a_decide_that_never_ends_is_an_error():
    def endless(choose):
        for i in itertools.count():
            choose(f"{i}", (0, 1))

    with pytest.raises(SpaceError, match=f"more than {MAX_CHOICES} choices"):
        sample(FunctionSpace(endless), random.Random(0))


def test_a_space_that_rejects_everything_says_so_with_its_reason():
    space = FunctionSpace(lambda choose: choose.reject("too wide"))
    with pytest.raises(SpaceError, match=r"rejected 1000 in a row.*too wide"):
        sample(space, random.Random(0))
    assert list(enumerate_all(space)) == []
    assert count(space).value == 0
    assert count(space, limit=0) == Count(0, (0, None), False)
    with pytest.raises(SpaceError, match="rejects all"):
        sample_uniformly(space, random.Random(0), 1)


def test_without_a_second_option_there_is_no_mutant():
    space = FunctionSpace(lambda choose: choose("only", ("this",)))
    only = sample(space, random.Random(0))
    with pytest.raises(Rejected, match="no choice"):
        mutate(space, only, random.Random(0))
    assert list(neighbours(space, only)) == []


def test_without_an_allowed_neighbour_there_is_no_mutant():
    def both_alike(choose):
        if choose("a", (0, 1)) != choose("b", (0, 1)):
            choose.reject("a and b must be alike")

    space = FunctionSpace(both_alike)
    with pytest.raises(Rejected, match="none of 1000 mutations"):
        mutate(space, Architecture("function", {"a": 0, "b": 0}), random.Random(0))


def test_a_choice_that_comes_with_fewer_options_is_drawn_again():
    space = FunctionSpace(lambda choose: choose("b", range(4 if choose("a", (0, 1)) == 0 else 2)))
    mutants = {mutate(space, Architecture("function", {"a": 0, "b": 3}), random.Random(s)) for s in range(200)}
    assert {m.picks["b"] for m in mutants if m.picks["a"] == 1} == {0, 1}


@pytest.mark.parametrize("use", [replay, num_options, lambda s, a: mutate(s, a, random.Random(0))])
@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (Architecture("other", {"a": 0, "b": 0}), "is of space 'other', not of 'function'"),
        (Architecture("function", {"a": 0}), "'b' is missing"),
        (Architecture("function", {"a": 0, "b": 2}), "'b' has index 2; it must be from 0 to 1"),
        (Architecture("function", {"a": 0, "b": -1}), "'b' has index -1"),
        (Architecture("function", {"a": 0, "b": 0, "c": 0}), "'c' is in the architecture but"),
    ],
)
def test_a_record_that_does_not_fit_the_space_is_named(use, architecture, message):
    space = FunctionSpace(lambda choose: (choose("a", (0, 1)), choose("b", (0, 1))))
    with pytest.raises(SpaceError, match=message):
        use(space, architecture)


def test_replaying_a_rejected_architecture_gives_the_reason():
    space = FunctionSpace(lambda choose: choose.reject("too deep") if choose("a", (0, 1)) else 0)
    assert replay(space, Architecture("function", {"a": 0})) == 0
    with pytest.raises(Rejected, match="too deep"):
        replay(space, Architecture("function", {"a": 1}))


def test_enumeration_is_lazy():
    space = FunctionSpace(lambda choose: [choose(f"{i}", (0, 1)) for i in range(200)])
    first = [architecture.picks["199"] for architecture in itertools.islice(enumerate_all(space), 3)]
    assert first == [0, 1, 0]
    estimate = count(space, limit=10, samples=10)
    assert estimate == Count(2**200, (2**200, 2**200), False)


def test_decide_returns_the_spec_with_its_record():
    space = FunctionSpace(lambda choose: choose("op", ("conv", "pool")))
    spec, architecture = decide(space, lambda _name, options: options - 1)
    assert spec == "pool"
    assert architecture == Architecture("function", {"op": 1})


def test_a_mutation_takes_the_step_that_it_is_given():
    class Sizes:
        name = "sizes"

        def decide(self, choose):
            return choose("width", (8, 16, 32)), choose("only", ("one",)), choose("op", ("a", "b"))

    seen = []

    def last(options, index, rng):
        seen.append((tuple(options), index))
        return len(options) - 1

    start = Architecture("sizes", {"width": 0, "only": 0, "op": 0})
    found = {tuple(mutate(Sizes(), start, random.Random(k), step=last).picks.values()) for k in range(20)}
    assert found == {(2, 0, 0), (0, 0, 1)}
    assert set(seen) == {((8, 16, 32), 0), (("a", "b"), 0)}
