"""Successive rejects: the paper's schedule, and a better choice among close arms than by equal shares."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from statistics import fmean

import pytest

from nas.runs.successive_rejects import race, schedule


def paper(arms: int, pulls: int) -> list[int]:
    """Section 3 of the paper, in floating point and with K - 1 phases spelled out."""
    logbar = 0.5
    for i in range(2, arms + 1):
        logbar += 1 / i
    return [math.ceil(1 / logbar * (pulls - arms) / (arms + 1 - k) - 1e-9) for k in range(1, arms)]


def spent(ends: Sequence[int]) -> int:
    """One arm is left out at the end of each phase, the last leaves one."""
    return sum(ends) + ends[-1]


@pytest.mark.parametrize("arms", [2, 3, 4, 7, 10, 25])
@pytest.mark.parametrize("each", [2, 3, 5, 8, 30])
def test_the_schedule_is_that_of_the_paper_with_what_is_left_over_in_the_last_phase(arms, each):
    pulls = arms * each
    ends, published = schedule(arms, pulls), paper(arms, pulls)
    assert ends[:-1] == published[:-1]
    assert ends[-1] >= published[-1]
    assert pulls - 1 <= spent(ends) <= pulls
    assert ends == sorted(ends)


def test_schedules_by_hand():
    """logbar(3) = 4/3: of 9 pulls 6 / 4 and 6 / (8/3), of 15 12 / 4 and 12 / (8/3), two of which are left over."""
    assert schedule(3, 9) == [2, 3]
    assert schedule(3, 15) == [3, 6]
    assert schedule(2, 10) == [5]
    assert schedule(1, 7) == [7]


@pytest.mark.parametrize("arms", [1, 2, 3, 5, 40])
def test_one_pull_for_each_is_one_for_each(arms):
    assert set(schedule(arms, arms)) == {1}


@pytest.mark.parametrize("arms", range(1, 60))
def test_the_winner_has_at_least_its_equal_share(arms):
    for each in range(1, 12):
        assert schedule(arms, arms * each)[-1] >= each


def draws(generator: random.Random, means: Sequence[float]) -> Callable[[Sequence[int], int], list[float]]:
    pulled: list[list[float]] = [[] for _ in means]

    def measure(arms: Sequence[int], count: int) -> list[float]:
        for arm in arms:
            pulled[arm] += [generator.gauss(means[arm], 1.0) for _ in range(count - len(pulled[arm]))]
        return [fmean(pulled[arm][:count]) for arm in arms]

    return measure


def test_of_close_arms_it_finds_the_best_more_often_than_equal_shares():
    """One arm is close to the best, eight are not; 60 pulls in all. Of 3000 races each, 0.01 is one standard error."""
    means, pulls, races = [0.0, -0.5, *[-1.0] * 8], 60, 3000
    generator = random.Random(0)
    rejects = uniform = 0
    for _ in range(races):
        rejects += race(range(10), pulls, draws(generator, means))[0][0] == 0
        shares = draws(generator, means)(range(10), pulls // 10)
        uniform += max(range(10), key=shares.__getitem__) == 0
    assert rejects / races > uniform / races + 0.03
    assert 0.5 < uniform / races < 0.85


def test_the_order_is_that_of_leaving_and_the_pulls_are_those_that_counted():
    """Arm 2 leads after two pulls and arm 0 after all; what arm 1 would have had later does not matter."""
    values = {0: [1, 1, 9], 1: [0, 0, 99], 2: [2, 2, 2]}
    asked = []

    def measure(arms: Sequence[int], count: int) -> list[float]:
        asked.append((list(arms), count))
        return [fmean(values[arm][:count]) for arm in arms]

    assert race([0, 1, 2], 9, measure) == [(0, 3), (2, 3), (1, 2)]
    assert asked == [([0, 1, 2], 2), ([2, 0], 3)]


def test_an_arm_that_fails_makes_room_for_the_best_that_was_dropped():
    def measure(fails: dict[int, int]) -> Callable[[Sequence[int], int], list[float | None]]:
        return lambda arms, count: [None if fails.get(arm, 99) <= count else -arm for arm in arms]

    assert race([0, 1, 2], 9, measure({})) == [(0, 3), (1, 3), (2, 2)]
    assert race([0, 1, 2], 9, measure({0: 1})) == [(1, 3), (2, 3)]
    assert race([0, 1, 2], 9, measure({0: 3})) == [(1, 3), (2, 3)]
    assert race([0, 1, 2], 9, measure({0: 3, 1: 3})) == [(2, 3)]
    assert race([0, 1, 2], 9, measure({0: 1, 1: 2, 2: 3})) == []


def test_among_equals_the_earlier_is_better():
    assert race("abcd", 16, lambda arms, count: [0.5] * len(arms))[0][0] == "a"
