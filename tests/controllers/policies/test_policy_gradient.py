"""Tests of the published REINFORCE controllers."""

import math
import random

import numpy as np
import pytest
import torch

from nas.architecture import Architecture
from nas.controllers import ReinforceNasBench201, ZophLe
from nas.controllers.policies.likelihood import Step
from nas.controllers.policies.policy import derived_seed
from nas.controllers.policies.reward_baseline import RewardBaseline
from nas.errors import ConfigError
from nas.space import sample
from nas.testing import ToySpace
from nas.trial import Score, Trial


class Coin:
    name = "coin"

    def decide(self, choose):
        return choose("side", ("heads", "tails"))


def done(architecture, value):
    return Trial(0, architecture, budget=1, seed=0, state="done", score=Score(value, 0.0))


def tossed(side, value):
    return done(Architecture("coin", {"side": side}), value)


def tails(controller, tosses=200):
    return sum(architecture.picks["side"] for architecture in controller.ask(tosses)) / tosses


def scored_trials(count=20, scale=1.0):
    rng = random.Random(0)
    return [done(sample(ToySpace(), rng), scale * rng.random()) for _ in range(count)]


@pytest.mark.parametrize(("worse", "better"), [(0.2, 0.3), (-3.0, -1.0), (100.0, 101.0)])
@pytest.mark.parametrize("side", [0, 1])
def test_the_first_batch_teaches_what_is_better(side, worse, better):
    controller = ZophLe(Coin(), lr=0.3, batch=4, entropy=0.0)
    assert 0.3 < tails(controller) < 0.7
    controller.tell([tossed(side, better), tossed(1 - side, worse), tossed(side, better), tossed(1 - side, worse)])
    assert abs(tails(controller) - side) < 0.15


def test_the_last_update_is_measured():
    controller = ReinforceNasBench201(ToySpace(), batch=2, baseline_decay=0.5)
    assert controller.measurements() == {}
    layers = Architecture("toy", {"layers": 0, "0.op": 0, "0.width": 0})  # 3, 2 and 2 options, almost equally likely
    controller.tell([done(layers, 0.5)])
    assert controller.measurements() == {}
    controller.tell([done(layers, 0.7), done(layers, 0.9)])
    first = controller.measurements()
    assert first == {
        "entropy": pytest.approx(math.log(12), abs=1e-4),
        "baseline": pytest.approx(0.6),
        "advantage_min": pytest.approx(-1.0),
        "advantage_mean": pytest.approx(0.0, abs=1e-12),
        "advantage_max": pytest.approx(1.0),
    }
    controller.tell([done(layers, 0.9)])
    expected = RewardBaseline(0.5).updated([0.5, 0.7])
    advantages = expected.advantages([0.9, 0.9])
    measured = controller.measurements()
    assert measured["baseline"] == pytest.approx(expected.updated([0.9, 0.9]).mean)
    assert measured["advantage_mean"] == pytest.approx(advantages[0])
    controller.tell([done(layers, 0.9)] * 2)
    assert controller.measurements()["entropy"] < measured["entropy"]  # each is the entropy before its update


def test_below_the_baseline_is_unlearned_although_the_score_is_positive():
    controller = ZophLe(Coin(), lr=0.3, batch=2, entropy=0.0)
    controller.tell([tossed(0, 0.9), tossed(0, 0.9)])
    assert 0.3 < tails(controller) < 0.7
    controller.tell([tossed(1, 0.5), tossed(1, 0.5)])
    assert tails(controller) < 0.15


def test_nothing_moves_before_a_batch_is_full():
    controller, idle = ZophLe(ToySpace(), batch=20, lr=0.3), ZophLe(ToySpace(), batch=20, lr=0.3)
    trials = scored_trials(20)
    controller.tell(trials[:19])
    assert controller.ask(20) == idle.ask(20)
    controller.tell(trials[19:])
    assert controller.ask(20) != idle.ask(20)


def test_scores_that_are_no_numbers_change_nothing():
    clean, dirty = (ZophLe(ToySpace(), batch=4, lr=0.3) for _ in range(2))
    for trial in scored_trials():
        clean.tell([trial])
        dirty.tell([done(trial.architecture, math.nan), trial, done(trial.architecture, math.inf)])
    assert clean.ask(20) == dirty.ask(20)


def test_the_unit_of_the_scores_does_not_matter():
    one, other = ZophLe(ToySpace(), lr=0.3), ZophLe(ToySpace(), lr=0.3)
    one.tell(scored_trials())
    other.tell(scored_trials(scale=1024.0))
    assert one.ask(20) == other.ask(20)


def test_the_entropy_bonus_keeps_the_coin_fair():
    def after(entropy):
        controller = ZophLe(Coin(), lr=0.1, batch=2, entropy=entropy)
        for _ in range(30):
            controller.tell([tossed(1, 0.6), tossed(0, 0.4)])
        return tails(controller)

    assert after(0.0) > 0.97
    assert 0.4 < after(20.0) < 0.8


def test_huge_scores_do_not_break_the_policy():
    controller = ZophLe(ToySpace(), batch=2)
    controller.tell(scored_trials(scale=1e300))
    controller.tell(scored_trials(scale=1e-300))
    assert len(controller.ask(5)) == 5


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("lr", 0.0),
        ("lr", math.nan),
        ("lr", math.inf),
        ("batch", 0),
        ("entropy", -0.1),
        ("entropy", math.nan),
        ("baseline_decay", 1.0),
        ("baseline_decay", -0.1),
        ("hidden", 0),
        ("layers", 0),
    ],
)
def test_an_option_out_of_range_is_named(option, value):
    with pytest.raises(ConfigError, match=f"{option} = {value}; it must be"):
        ZophLe(ToySpace(), **{option: value})


def test_the_reward_is_the_score_to_a_power_with_its_sign():
    cubed, plain = ZophLe(Coin(), lr=0.3, batch=2), ZophLe(Coin(), lr=0.3, batch=2, power=1.0)
    cubed.tell([tossed(0, -0.5), tossed(1, 0.3)])
    plain.tell([tossed(0, -0.125), tossed(1, 0.027)])
    assert cubed.ask(50) == plain.ask(50)


def test_no_power_is_too_small_for_a_score():
    controller, plain = ZophLe(Coin(), lr=0.3, batch=2, power=0.1), ZophLe(Coin(), lr=0.3, batch=2, power=1.0)
    controller.tell([tossed(0, 1e-10), tossed(1, 0.0)])
    plain.tell([tossed(0, 0.1), tossed(1, 0.0)])
    assert controller.ask(50) == plain.ask(50)


def test_the_reinforce_of_nas_bench_201_takes_the_steps_of_the_definition():
    """By hand: a softmax a choice, advantages over a moving average, one Adam step a candidate."""
    rng = random.Random(0)
    scores = [(rng.randrange(2), rng.random()) for _ in range(30)]
    controller = ReinforceNasBench201(Coin(), seed=3)
    generator = np.random.Generator(np.random.PCG64(derived_seed(3, "2 side")))
    logits = torch.tensor(1e-3 * generator.standard_normal(2), requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.01)
    baseline = RewardBaseline(0.9)
    for side, value in scores:
        controller.tell([tossed(side, value)])
        (advantage,) = baseline.advantages([value])
        baseline = baseline.updated([value])
        adam.zero_grad()
        (-advantage * logits.log_softmax(0)[side]).backward()
        adam.step()
    chance = logits.softmax(0)[1].item()
    assert abs(chance - 0.5) > 0.01
    found = np.exp(controller._policy.likelihood([[Step("side", 2, 1)]]).log_probs[0])
    assert found == pytest.approx(chance, rel=1e-10)
