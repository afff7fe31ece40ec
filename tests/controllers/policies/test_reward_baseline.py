"""Tests of the reward baseline against its definition."""

import random
from statistics import fmean

import pytest

from nas.controllers.policies.reward_baseline import RewardBaseline


def test_the_first_batch_is_judged_by_its_own_mean():
    assert RewardBaseline(0.9).advantages([1.0, 3.0, 5.0, 7.0]) == [-1.5, -0.5, 0.5, 1.5]


def test_a_later_batch_is_judged_by_what_came_before_it():
    baseline = RewardBaseline(0.9).updated([1.0, 3.0])
    # All above the average of 2, though equal to each other: a baseline that knew the batch would give less.
    first, second = baseline.advantages([4.0, 4.0])
    assert first == second > 0
    assert baseline.centre([4.0, 4.0]) == pytest.approx(2.0)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_averages_are_those_of_the_definition(decay):
    rng = random.Random(0)
    batches = [[rng.gauss(0.6, 0.1) for _ in range(4)] for _ in range(12)]
    baseline = RewardBaseline(decay)
    for i, batch in enumerate(batches):
        if i > 0:
            weights = [decay ** (i - 1 - j) for j in range(i)]
            mean = sum(w * fmean(b) for w, b in zip(weights, batches[:i], strict=True)) / sum(weights)
            assert baseline.centre(batch) == pytest.approx(mean, rel=1e-9)
        baseline = baseline.updated(batch)


@pytest.mark.parametrize("value", [0.0, 0.3, -1e30])
def test_equal_rewards_give_no_advantage(value):
    baseline = RewardBaseline(0.9)
    for _ in range(5):
        # Not even a rounding error, which the division by the distance would blow up.
        assert baseline.advantages([value] * 4) == [0.0] * 4
        baseline = baseline.updated([value] * 4)


def test_the_unit_of_the_rewards_does_not_matter():
    small, large = RewardBaseline(0.9), RewardBaseline(0.9)
    rng = random.Random(0)
    for _ in range(10):
        rewards = [rng.random() for _ in range(5)]
        scaled = [1024 * reward for reward in rewards]
        assert small.advantages(rewards) == large.advantages(scaled)
        small, large = small.updated(rewards), large.updated(scaled)
