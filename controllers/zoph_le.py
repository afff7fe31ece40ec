"""REINFORCE with an LSTM policy, as published by Zoph & Le (arXiv 1611.01578)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nas.architecture import Architecture
from nas.protocols import SearchSpace
from nas.trial import Trial

from .policies.policy import LstmPolicy
from .policies.policy_gradient import PolicyGradient, check_lstm


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
