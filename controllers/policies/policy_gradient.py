"""REINFORCE with a moving-average reward baseline, as published controllers use it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.architecture import Architecture
from nas.bounds import LARGEST_RATE, LARGEST_WIDTH, check_number
from nas.protocols import SearchSpace
from nas.trial import Trial

from ..genetic.operators import MOST_TRIALS
from .likelihood import Array, Step
from .policy import Policy, trajectory_of
from .reward_baseline import RewardBaseline

LARGEST_REWARD = 1e150
"""Rewards are clipped here: the power of a huge score, or a sum of such, would overflow."""


@dataclass(frozen=True)
class UpdateOptions:
    """Options of REINFORCE's updates.

    Attributes:
        lr: Learning rate of Adam, above 0.
        batch: Scored trials to an update, from 1.
        baseline_decay: Decay of the moving average of the rewards, in [0, 1).
        power: Exponent of the scores, whose sign is kept, above 0.
        entropy: Weight of the policy's entropy in the objective, from 0.
    """

    lr: float
    batch: int
    baseline_decay: float
    power: float = 1.0
    entropy: float = 0.0

    def check(self, controller: str) -> None:
        """Checks the ranges.

        Raises:
            ConfigError: An option of the named controller is out of range.
        """
        check_number(controller, "lr", self.lr, 0.0, LARGEST_RATE, above=True)
        check_number(controller, "batch", self.batch, 1, MOST_TRIALS)
        check_number(controller, "power", self.power, 0.0, LARGEST_RATE, above=True)
        check_number(controller, "entropy", self.entropy, 0.0, LARGEST_RATE)
        check_number(controller, "baseline_decay", self.baseline_decay, 0.0, 0.999999)


class PolicyGradient:
    """A controller that samples a policy and updates it by REINFORCE (Williams, 1992).

    The gradient is that of the policy at the time of telling, also for proposals of an older one. An architecture may
    be proposed again. A trial without a finite score changes nothing.

    Args:
        space: Search space.
        policy: Policy to sample and to train, with `options.lr`.
        options: Options of the updates, already checked.
        seed: Seed of the samples.
    """

    def __init__(self, space: SearchSpace, policy: Policy, options: UpdateOptions, *, seed: int) -> None:
        self._space, self._policy, self._options, self._seed = space, policy, options, seed
        self._baseline = RewardBaseline(options.baseline_decay)
        self._batch: list[tuple[list[Step], float]] = []
        self._asked = 0
        self._measured: Mapping[str, float] = {}

    def ask(self, n: int) -> list[Architecture]:
        """Proposes the next `n` architectures.

        Raises:
            SpaceError: The space rejects everything that is drawn.
        """
        numbers = range(self._asked, self._asked + n)
        self._asked += n
        return [self._policy.sample(self._space, random.Random(f"{self._seed}/{k}")) for k in numbers]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Updates the policy whenever a batch of scored trials is full, whether they were asked for or not.

        Raises:
            SpaceError: A trial is of another space.
        """
        for trial in trials:
            if not math.isfinite(trial.value):
                continue
            trajectory = trajectory_of(self._space, trial.architecture)
            if not trajectory:
                continue  # a space without a choice leaves nothing to learn
            self._batch.append((trajectory, self._reward(trial.value)))
            if len(self._batch) == self._options.batch:
                self._update()

    def measurements(self) -> Mapping[str, float]:
        """Numbers of the last update: those of `update_measurements`, and 'baseline', the reward baseline after it."""
        return self._measured

    def _reward(self, score: float) -> float:
        power = self._options.power
        return math.copysign(min(abs(score), LARGEST_REWARD ** min(1.0, 1 / power)) ** power, score)

    def _update(self) -> None:
        trajectories, rewards = zip(*self._batch, strict=True)
        self._batch = []
        advantages = np.array(self._baseline.advantages(rewards))
        self._baseline = self._baseline.updated(rewards)
        likelihood = self._policy.likelihood(trajectories)
        self._measured = {**update_measurements(likelihood.entropies, advantages), "baseline": self._baseline.mean}
        _, grad_log_probs = policy_loss(likelihood.log_probs, advantages)
        entropy_weights = np.full(len(trajectories), -self._options.entropy / len(trajectories))
        self._policy.step(likelihood.gradient(grad_log_probs, entropy_weights))


def update_measurements(entropies: Array, advantages: Array) -> dict[str, float]:
    """Numbers about an update of a policy.

    Args:
        entropies: Entropies of the batch's trajectories before the update, (trajectories,).
        advantages: Their advantages, (trajectories,).

    Returns:
        'entropy', an estimate of the policy's entropy in nats; 'advantage_min', 'advantage_mean' and 'advantage_max'.
    """
    return {
        "entropy": float(entropies.mean()),
        "advantage_min": float(advantages.min()),
        "advantage_mean": float(advantages.mean()),
        "advantage_max": float(advantages.max()),
    }


def policy_loss(log_probs: Array, advantages: Array) -> tuple[float, Array]:
    """REINFORCE's loss, -mean(A log π), whose expected gradient over samples of π is minus that of the expected reward.

    Williams (1992), "Simple statistical gradient-following algorithms for connectionist reinforcement learning".

    Args:
        log_probs: Log-probabilities log π of the trajectories, (trajectories,).
        advantages: Advantages A of the trajectories, (trajectories,).

    Returns:
        The loss, and its derivatives by `log_probs`, (trajectories,).
    """
    return -float(np.mean(advantages * log_probs)), -advantages / len(advantages)


def check_lstm_size(controller: str, hidden: int, layers: int) -> None:
    """Checks the size of an LSTM: `hidden` from 1 to 4096, `layers` from 1 to 16.

    Raises:
        ConfigError: An option of the named controller is out of range.
    """
    check_number(controller, "hidden", hidden, 1, LARGEST_WIDTH)
    check_number(controller, "layers", layers, 1, 16)
