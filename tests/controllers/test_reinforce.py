"""Tests of REINFORCE: the clipped loss against its paper and autograd, and the updates of the policy."""

import math
import random

import numpy as np
import pytest
import torch

from nas.architecture import Architecture
from nas.controllers import Reinforce
from nas.controllers.policies.policy_gradient import policy_loss
from nas.controllers.reinforce import clipped_loss, ranked_rewards
from nas.controllers.surrogate.predictor import normal_scores
from nas.errors import ConfigError
from nas.testing import ToySpace
from nas.trial import Score, Trial

WIDE = 14


class Coins:
    """Many tosses: there are always unseen ones, and the first one shows what was learned."""

    name = "coins"

    def decide(self, choose):
        return [choose(f"{i}", ("heads", "tails")) for i in range(WIDE)]


def done(architecture, value):
    return Trial(0, architecture, budget=1, seed=0, state="done", score=Score(value, 0.0))


def tossed(rng, first):
    return Architecture("coins", {f"{i}": first if i == 0 else rng.randrange(2) for i in range(WIDE)})


def plain(**options):
    """The policy alone proposes, from the start."""
    return Reinforce(Coins(), **{"first": 1, "pool": 1, "fresh": 0.0, "replay": 0.0, "entropy": 0.0, **options})


def tails(controller, tosses=200):
    return sum(architecture.picks["0"] for architecture in controller.ask(tosses)) / tosses


def lessons(controller, better, count=40, values=(1.0, 0.0)):
    rng = random.Random(0)
    for number in range(count):
        side = number % 2
        controller.tell([done(tossed(rng, side), values[0] if side == better else values[1])])


def test_the_loss_is_that_of_the_paper():
    """Schulman et al., equation 7, a walk at a time, in plain numbers."""
    rng = np.random.default_rng(0)
    new, old, advantages = rng.normal(size=(3, 200))
    expected = 0.0
    for n, o, a in zip(new.tolist(), old.tolist(), advantages.tolist(), strict=True):
        ratio = math.exp(n - o)
        clipped = min(max(ratio, 0.8), 1.2)
        expected += min(ratio * a, clipped * a) / 200
    assert clipped_loss(new, old, advantages, 0.2)[0] == pytest.approx(-expected, rel=1e-12)


@pytest.mark.parametrize("spread", [0.05, 1.0], ids=["within the clip", "on both sides of it"])
def test_the_derivatives_of_the_losses_are_those_of_autograd(spread):
    rng = np.random.default_rng(0)
    new, advantages = rng.normal(size=(2, 200))
    old = new - spread * rng.normal(size=200)
    log_probs = torch.tensor(new, requires_grad=True)
    ratio, by = (log_probs - torch.tensor(old)).exp(), torch.tensor(advantages)
    clipped = -torch.minimum(ratio * by, ratio.clamp(0.8, 1.2) * by).mean()
    for ours, loss in (
        (clipped_loss(new, old, advantages, 0.2), clipped),
        (policy_loss(new, advantages), -(log_probs * by).mean()),
    ):
        (gradient,) = torch.autograd.grad(loss, log_probs)
        assert ours[0] == pytest.approx(loss.item(), rel=1e-12)
        np.testing.assert_allclose(ours[1], gradient.numpy(), rtol=1e-12)
    held = clipped_loss(new, old, advantages, 0.2)[1] == 0
    for outside in (ratio > 1.2).numpy() & (advantages > 0), (ratio < 0.8).numpy() & (advantages < 0):
        assert held[outside].all()
        assert outside.sum() > 20 or spread < 1


def test_where_the_policy_is_the_old_one_its_derivatives_are_those_of_reinforce():
    log_probs, advantages = np.random.default_rng(0).normal(size=(2, 10))
    ours, reinforce = clipped_loss(log_probs, log_probs, advantages, 0.2)[1], policy_loss(log_probs, advantages)[1]
    assert abs(reinforce).max() > 0.01
    np.testing.assert_allclose(ours, reinforce, rtol=1e-12)


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"), [(1.5, 1, False), (1.5, -1, True), (0.5, 1, True), (0.5, -1, False)]
)
def test_only_what_went_too_far_already_is_held_back(ratio, advantage, moves):
    log_prob, old = np.array([math.log(ratio)]), np.zeros(1)
    assert (clipped_loss(log_prob, old, np.array([float(advantage)]), 0.2)[1][0] != 0) == moves


@pytest.mark.parametrize("advantage", [-1.0, 1.0])
def test_what_has_become_likelier_beyond_all_numbers_leaves_the_policy_one(advantage):
    _, by_log_probs = clipped_loss(np.zeros(1), np.array([-5000.0]), np.array([advantage]), 0.2)
    assert np.isfinite(by_log_probs**2).all()
    assert (by_log_probs[0] > 0) == (advantage < 0)


@pytest.mark.parametrize("different", [3, 40, 10**9])
def test_scores_count_by_their_normal_scores_among_all_that_were_told(different):
    rng = random.Random(0)
    told = [float(rng.randrange(different)) for _ in range(200)]
    np.testing.assert_allclose(ranked_rewards(sorted(told), told), normal_scores(told), rtol=1e-12, atol=1e-12)


def test_a_batch_is_judged_among_the_scores_before_it_too():
    """The last batch is of the worst scores so far, so what it tossed becomes unlikelier, its best as well."""
    controller = plain(batch=2, lr=0.3)
    lessons(controller, 1, count=20, values=(1.0, 1.0))
    before = tails(controller)
    rng = random.Random(1)
    controller.tell([done(tossed(rng, 1), 0.2), done(tossed(rng, 1), 0.1)])
    assert tails(controller) < before - 0.2


@pytest.mark.parametrize("policy", ["table", "lstm"])
@pytest.mark.parametrize("better", [0, 1])
def test_what_scores_better_becomes_likelier(policy, better):
    controller = plain(policy=policy, lr=0.05)
    lessons(controller, better)
    assert abs(tails(controller, tosses=60) - better) < 0.3  # few: a policy that is sure looks long for what is unseen


def test_nothing_moves_before_a_batch_is_full():
    controller, idle = plain(batch=20), plain(batch=20)
    rng = random.Random(0)
    trials = [done(tossed(rng, number % 2), float(number % 2)) for number in range(20)]
    for made in (controller, idle):
        made.tell(trials[:19])
    assert controller.ask(30) == idle.ask(30)
    controller.tell(trials[19:])
    assert controller.ask(30) != idle.ask(30)


def test_only_the_ranks_of_the_scores_matter():
    def after(scale):
        controller = plain()
        rng = random.Random(0)
        for number in range(20):
            controller.tell([done(tossed(rng, number % 2), scale(rng.random()))])
        return controller.ask(20)

    assert after(lambda value: value) == after(lambda value: 1e5 * value**9 - 7)


def test_the_first_proposals_are_uniform_and_then_learned():
    def after(count, first):
        controller = plain(lr=0.2, first=first)
        lessons(controller, 1, count)
        return tails(controller)

    assert 0.4 < after(40, first=41) < 0.6
    assert after(40, first=40) > 0.8


def test_a_late_result_counts_by_the_policy_that_proposed_it():
    def after(asked, late):
        controller = plain(lr=0.1, clip=0.05, batch=2)
        proposals = plain().ask(2)
        if asked:
            assert controller.ask(2) == proposals
        results = [done(architecture, 2.0 + number) for number, architecture in enumerate(proposals)]
        for part in (None, results) if late else (results, None):
            if part is None:
                lessons(controller, 1)
            else:
                controller.tell(part)
        return {name: array.tolist() for name, array in controller._policy.parameters.items()}

    # Told at once, the policy at hand is the one that proposed it; later it is another.
    assert after(asked=True, late=False) == after(asked=False, late=False)
    assert after(asked=True, late=True) != after(asked=False, late=True)


def test_replay_makes_the_best_likelier():
    def after(replay):
        controller = plain(lr=0.02, replay=replay, best=1)
        lessons(controller, 1, values=(0.5, 0.5))  # of equals, the first is the best: it tossed heads
        return tails(controller)

    assert after(1.0) < 0.25
    assert 0.4 < after(0.0) < 0.6


def test_the_entropy_bonus_keeps_the_coin_fair():
    def after(entropy):
        controller = plain(lr=0.1, entropy=entropy)
        lessons(controller, 1)
        return tails(controller)

    assert after(0.0) > 0.9
    assert 0.4 < after(20.0) < 0.7


def test_the_predictor_chooses_among_many_samples():
    """With a policy that stands still, only the predictor can make proposals better."""

    def mean(pool):
        controller = Reinforce(Coins(), lr=1e-9, first=5, pool=pool, fresh=0.0)
        values = []
        for _ in range(40):
            (architecture,) = controller.ask(1)
            values.append(sum(architecture.picks.values()) / WIDE)
            controller.tell([done(architecture, values[-1])])
        return sum(values[-20:]) / 20

    assert mean(60) > mean(1) + 0.08


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("lr", 0.0),
        ("lr", math.nan),
        ("lr", math.inf),
        ("clip", 0.0),
        ("batch", 0),
        ("epochs", 0),
        ("best", 0),
        ("pool", 0),
        ("first", 0),
        ("entropy", -0.1),
        ("entropy", math.nan),
        ("replay", -1.0),
        ("fresh", 1.1),
        ("hidden", 0),
        ("layers", 0),
    ],
)
def test_an_option_out_of_range_is_named(option, value):
    with pytest.raises(ConfigError, match=f"{option} = {value}; it must be"):
        Reinforce(ToySpace(), **{option: value})


def test_the_last_update_is_measured():
    controller, rng = plain(batch=2, epochs=3, lr=0.5), random.Random(0)
    assert controller.measurements() == {}
    controller.tell([done(tossed(rng, 0), 0.25), done(tossed(rng, 1), 0.75)])
    spread = normal_scores([0.25, 0.75])[1]
    expected = {"entropy": WIDE * math.log(2), "advantage_min": -spread, "advantage_mean": 0, "advantage_max": spread}
    assert controller.measurements() == pytest.approx(expected)
    controller.tell([done(tossed(rng, 1), 0.75), done(tossed(rng, 1), 0.8)])
    assert controller.measurements()["entropy"] < expected["entropy"] - 0.1
