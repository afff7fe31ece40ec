"""REINFORCE: a policy proposes, and what scores above the moving average becomes more likely."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import torch
from torch import Tensor

from nas.architecture import Architecture, Trial
from nas.errors import ConfigError
from nas.protocols import SearchSpace
from nas.space import num_options

from .baseline import Baseline
from .policy import Policy, Step, one_thread


class Reinforce:
    """Zoph & Le (2017): Williams' policy gradient (1992) on an LSTM that makes one choice after another.

    lr              learning rate of Adam, above 0
    batch           scored trials to an update, from 2: the first batch is judged by its own mean
    entropy         weight of the entropy bonus, from 0, in units of the rewards' mean distance from the baseline
    baseline_decay  of the baseline's moving averages, in [0, 1)
    hidden, layers  size of the LSTM, from 1 to 4096 and 16; 35 and 2 are the paper's

    The paper's rate of 6e-4 is for 12,800 candidates and stands still in 200. On 10 choices of 4 options, scored by the
    mean option index in [0, 1] (0.5 at random), candidates 81 to 100 and 181 to 200 had the mean scores .50 and .52 at
    6e-4, .84 and .96 at 0.01, .88 and .95 at 0.02, .91 and .95 at 0.03. Where choices only matter in pairs, 0.01 was
    still near random after 200 and 0.03 settled early.

    The gradient is that of the policy at the time of telling. It differs from the exact one in two ways: proposals
    made before the latest updates were drawn from an older policy, and where the space rejects, a proposal's
    probability lacks the factor 1 / P(allowed), whose gradient the baseline cancels on average. The bonus is the
    entropy of each choice along the walks taken. A trial without a finite score changes nothing.
    """

    name = "reinforce"

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        lr: float = 0.02,
        batch: int = 5,
        entropy: float = 0.03,
        baseline_decay: float = 0.9,
        hidden: int = 35,
        layers: int = 2,
    ) -> None:
        _check("lr", lr, 0 < lr < math.inf, "above 0, such as 0.02")
        _check("batch", batch, batch >= 2, "at least 2, for the first batch to be judged by its own mean")
        _check("entropy", entropy, 0 <= entropy < math.inf, "0 or more, such as 0.03")
        _check("baseline_decay", baseline_decay, 0 <= baseline_decay < 1, "from 0 to below 1, such as 0.9")
        _check("hidden", hidden, 1 <= hidden <= 4096, "from 1 to 4096, such as 35")
        _check("layers", layers, 1 <= layers <= 16, "from 1 to 16, such as 2")
        self._space = space
        self._seed = seed
        self._asked = 0
        self._batch = batch
        self._entropy = entropy
        self._baseline = Baseline(baseline_decay)
        self._waiting: list[tuple[list[Step], float]] = []
        self._policy = Policy(seed=seed, hidden=hidden, layers=layers)
        self._num_trained = len(self._policy.parameters)
        self._optimizer = torch.optim.Adam(list(self._policy.parameters.values()), lr=lr)

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures. Raises SpaceError when the space rejects all that is drawn."""
        numbers = range(self._asked, self._asked + n)
        self._asked += n
        return [self._policy.sample(self._space, random.Random(f"{self._seed}/{k}")) for k in numbers]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Updates the policy each time a batch of scored trials is full, asked for or not.

        Raises SpaceError for trials of another space.
        """
        for trial in trials:
            if not math.isfinite(trial.value):
                continue
            sizes = num_options(self._space, trial.architecture)
            if not sizes:
                continue  # a space without a choice leaves nothing to learn
            steps = [Step(name, size, trial.architecture.picks[name]) for name, size in sizes.items()]
            self._waiting.append((steps, trial.value))
            if len(self._waiting) == self._batch:
                self._update()

    def _update(self) -> None:
        walks, rewards = zip(*self._waiting, strict=True)
        self._waiting = []
        advantages = torch.tensor(self._baseline.advantages(rewards))
        self._baseline = self._baseline.updated(rewards)
        with one_thread():
            log_probs, entropies = self._policy.log_probs(walks)
            self._descend(policy_loss(log_probs, advantages) - self._entropy * entropies.mean())

    def _descend(self, loss: Tensor) -> None:
        new = list(self._policy.parameters.values())[self._num_trained :]
        if new:
            self._optimizer.add_param_group({"params": new})
            self._num_trained += len(new)
        # To None, not zero: Adam must leave alone the choices that this batch did not meet.
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._optimizer.step()


def policy_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """A scalar whose gradient is, on average over walks drawn from the policy, minus that of the expected reward.

    `log_probs` and `advantages` are (walks,). Williams (1992), "Simple statistical gradient-following algorithms".
    """
    return -(advantages * log_probs).mean()


def _check(option: str, value: float, allowed: bool, rule: str) -> None:
    if not allowed:
        raise ConfigError(f"{option} is {value}; it must be {rule}")
