"""REINFORCE as published: a policy proposes, and what scores above the moving average becomes more likely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from nas.bounds import LARGEST_RATE, LARGEST_WIDTH, check_number
from nas.protocols import SearchSpace
from nas.trial import Trial

from ..genetic.operators import MOST_TRIALS
from .adam import Adam
from .likelihood import Step
from .lstm import Array
from .policy import Policy, steps_of
from .reward_baseline import Baseline

PolicyName = Literal["lstm", "table"]
LARGEST = 1e150
"""Rewards are cut here: the power of a huge score, or a sum of such, would be no number."""


class PolicyGradient:
    """How scored trials move a policy: the options are those of `ZophLe`."""

    def __init__(
        self,
        controller: str,
        space: SearchSpace,
        policy: Policy,
        *,
        lr: float,
        batch: int,
        power: float,
        entropy: float,
        baseline_decay: float,
    ) -> None:
        check_number(controller, "lr", lr, 0.0, LARGEST_RATE, above=True)
        check_number(controller, "batch", batch, 1, MOST_TRIALS)
        check_number(controller, "power", power, 0.0, LARGEST_RATE, above=True)
        check_number(controller, "entropy", entropy, 0.0, LARGEST_RATE)
        check_number(controller, "baseline_decay", baseline_decay, 0.0, 0.999999)
        self._space, self._policy = space, policy
        self._batch, self._power, self._entropy = batch, power, entropy
        self._baseline = Baseline(baseline_decay)
        self._waiting: list[tuple[list[Step], float]] = []
        self._adam = Adam(policy.parameters, lr)

    def tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            if not math.isfinite(trial.value):
                continue
            steps = steps_of(self._space, trial.architecture)
            if not steps:
                continue  # a space without a choice leaves nothing to learn
            size = min(abs(trial.value), LARGEST ** min(1.0, 1 / self._power)) ** self._power
            self._waiting.append((steps, math.copysign(size, trial.value)))
            if len(self._waiting) == self._batch:
                self._update()

    def _update(self) -> None:
        walks, rewards = zip(*self._waiting, strict=True)
        self._waiting = []
        advantages = np.array(self._baseline.advantages(rewards))
        self._baseline = self._baseline.updated(rewards)
        likelihood = self._policy.likelihood(walks)
        _, by_log_probs = policy_loss(likelihood.log_probs, advantages)
        by_entropies = np.full(len(walks), -self._entropy / len(walks))
        self._adam.descend(likelihood.gradient(by_log_probs, by_entropies))


def policy_loss(log_probs: Array, advantages: Array) -> tuple[float, Array]:
    """A scalar whose gradient is, on average over walks drawn from the policy, minus that of the expected reward.

    And its derivatives by `log_probs`, which are (walks,) as `advantages` are. Williams (1992), "Simple statistical
    gradient-following algorithms".
    """
    return -float(np.mean(advantages * log_probs)), -advantages / len(advantages)


def check_lstm(controller: str, hidden: int, layers: int) -> None:
    """Raises ConfigError where an LSTM cannot be of this size."""
    check_number(controller, "hidden", hidden, 1, LARGEST_WIDTH)
    check_number(controller, "layers", layers, 1, 16)
