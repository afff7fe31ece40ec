"""REINFORCE as published: a policy proposes, and what scores above the moving average becomes more likely."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Literal

import numpy as np

from nas.architecture import Architecture, Trial
from nas.bounds import LARGEST_RATE, LARGEST_WIDTH, check_number
from nas.protocols import SearchSpace

from .adam import Adam
from .baseline import Baseline
from .lstm import Array
from .operators import MOST_TRIALS
from .policy import LstmPolicy, Policy, TablePolicy, steps_of
from .walks import Step

PolicyName = Literal["lstm", "table"]
LARGEST = 1e150
"""Rewards are cut here: the power of a huge score, or a sum of such, would be no number."""


class ZophLe:
    """Zoph & Le, "Neural Architecture Search with Reinforcement Learning" (arXiv 1611.01578), section 3.2.

    Williams' policy gradient (1992) on an LSTM that makes one choice after another.

    lr              learning rate of Adam, above 0
    batch           scored trials to an update, from 1: the paper's m children of a controller replica
    power           rewards are scores to this power, with their sign; the paper cubes them for convolutional networks
    entropy         weight of the policy's entropy in what it maximises, from 0
    baseline_decay  of the moving average of the rewards, in [0, 1)
    hidden, layers  size of the LSTM, from 1 to 4096 and 16

    The paper's rate is for 12,800 candidates and stands still in 200. Advantages are in units of their average distance
    from the baseline (`Baseline`), which the paper does not say. The gradient is that of the policy at the time of
    telling, of proposals that may come from an older one; an architecture may be proposed again. A trial without a
    finite score changes nothing.
    """

    name = "zoph-le"

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        lr: float = 6e-4,
        batch: int = 8,
        power: float = 3.0,
        entropy: float = 0.0,
        baseline_decay: float = 0.9,
        hidden: int = 35,
        layers: int = 2,
    ) -> None:
        check_lstm(self.name, hidden, layers)
        policy = LstmPolicy(seed=seed, hidden=hidden, layers=layers)
        self._gradient = PolicyGradient(
            self.name, space, policy, lr=lr, batch=batch, power=power, entropy=entropy, baseline_decay=baseline_decay
        )
        self._space, self._policy, self._seed, self._asked = space, policy, seed, 0

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures. Raises SpaceError when the space rejects all that is drawn."""
        numbers = range(self._asked, self._asked + n)
        self._asked += n
        return [self._policy.sample(self._space, random.Random(f"{self._seed}/{k}")) for k in numbers]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Updates the policy each time a batch of scored trials is full, asked for or not.

        Raises SpaceError for trials of another space.
        """
        self._gradient.tell(trials)


class ReinforceNasBench201:
    """REINFORCE as it was run for NAS-Bench-201's table of search methods (Dong & Yang, arXiv 2001.00326; their code).

    No recurrent network: each choice has a softmax of its own, with logits of 0.001 standard deviations to begin with;
    Adam at 0.01, a baseline of decay 0.9, one candidate an update, no entropy bonus.
    """

    name = "reinforce-nas-bench-201"

    def __init__(
        self, space: SearchSpace, *, seed: int = 0, lr: float = 0.01, batch: int = 1, baseline_decay: float = 0.9
    ) -> None:
        policy = TablePolicy(seed=seed, spread=1e-3)
        self._gradient = PolicyGradient(
            self.name, space, policy, lr=lr, batch=batch, power=1.0, entropy=0.0, baseline_decay=baseline_decay
        )
        self._space, self._policy, self._seed, self._asked = space, policy, seed, 0

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures. Raises SpaceError when the space rejects all that is drawn."""
        numbers = range(self._asked, self._asked + n)
        self._asked += n
        return [self._policy.sample(self._space, random.Random(f"{self._seed}/{k}")) for k in numbers]

    def tell(self, trials: Sequence[Trial]) -> None:
        """As `ZophLe.tell`."""
        self._gradient.tell(trials)


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
