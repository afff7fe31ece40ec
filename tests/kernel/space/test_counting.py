"""Estimated sizes of spaces that are too large to list, and samples that are uniform over architectures."""

from __future__ import annotations

import math
import random

import pytest
from helpers.choices import FunctionSpace, chi_square, deepening

from nas.space import Count, count, enumerate_all, sample, sample_uniformly
from nas.space.enumeration import PILOT


def one_in(share, size=100):
    def decide(choose):
        if choose("lucky", range(share)):
            choose.reject("no luck")
        choose("option", range(size))

    return FunctionSpace(decide), size


@pytest.mark.parametrize(
    "made, most_missed",
    [(deepening(4), 12), (deepening(6), 12), (deepening(9), 12), (deepening(30), 12), (one_in(50), 12)],
    ids=["mild", "skewed", "more skewed", "hopeless", "mostly rejected"],
)
def test_the_interval_of_an_estimate_holds_for_skewed_spaces(made, most_missed):
    """Of 120 intervals of 95 %, 6 may miss on average; more than 12 in less than one case of a hundred."""
    space, size = made
    missed = 0
    for seed in range(120):
        low, high = count(space, limit=0, samples=1000, seed=seed).interval
        missed += not (low <= size <= (math.inf if high is None else high))
    assert missed <= most_missed


def test_an_estimate_that_rests_on_few_descents_has_no_upper_end():
    space, size = deepening(30)
    estimate = count(space, samples=1000)
    assert estimate.interval[1] is None
    assert estimate.value < size
    assert "at least" in str(estimate)


def test_no_count_is_too_large_and_no_work_without_bound(monkeypatch):
    monkeypatch.setattr("nas.space.enumeration.WORK", 100_000)
    made = 0

    def decide(choose):
        nonlocal made
        for level in range(1000):
            made += 1
            choose(f"{level}", range(10))

    estimate = count(FunctionSpace(decide))
    assert estimate == Count(10**1000, (10**1000, 10**1000), False)
    assert str(estimate) == "about 1.00E+1000 (95 % interval 1.00E+1000 – 1.00E+1000)"
    assert made <= 100_000 + PILOT * 1000


def test_uniform_samples_are_uniform_over_architectures_where_samples_are_not():
    space, size = deepening(2, options=3)
    assert size == 13
    listed = list(enumerate_all(space))
    drawn = sample_uniformly(space, random.Random(0), 2600)
    # Exceeded once in 10,000 with 12 degrees of freedom.
    assert chi_square([drawn.count(each) for each in listed], 200) < 39.1
    rng = random.Random(0)
    plain = [sample(space, rng) for _ in range(2600)]
    assert chi_square([plain.count(each) for each in listed], 200) > 1000


def test_uniform_samples_leave_out_what_is_rejected():
    def unlike(choose):
        if choose("a", range(3)) == choose("b", range(3)):
            choose.reject("alike")

    drawn = sample_uniformly(FunctionSpace(unlike), random.Random(1), 1800)
    counts = [drawn.count(each) for each in enumerate_all(FunctionSpace(unlike))]
    assert len(counts) == 6
    assert sum(counts) == 1800
    assert chi_square(counts, 300) < 25.8  # exceeded once in 10,000 with 5 degrees of freedom


def test_uniform_samples_of_a_space_too_large_to_list_are_nearly_so():
    """The depths of a space that is three times as large at each further level: 1, 3, 9 of 13."""
    space, _ = deepening(2, options=3)
    drawn = sample_uniformly(space, random.Random(0), 2600, limit=3, pool=20_000)
    depths = [sum(name.endswith(".on") and index for name, index in each.picks.items()) for each in drawn]
    counts = [depths.count(depth) for depth in range(3)]
    # 18.4 is exceeded once in 10,000 with 2 degrees of freedom; half as much again because the pool is random too.
    assert sum((n - e) ** 2 / e for n, e in zip(counts, (200, 600, 1800), strict=True)) < 18.4 * 1.5
    huge = FunctionSpace(lambda choose: [choose(f"{i}", range(10)) for i in range(400)])
    assert len(sample_uniformly(huge, random.Random(0), 3, pool=20)) == 3
