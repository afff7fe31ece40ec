"""REINFORCE with a table policy, as published with NAS-Bench-201 (arXiv 2001.00326)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nas.architecture import Architecture
from nas.protocols import SearchSpace
from nas.trial import Trial

from .policies.policy import TablePolicy
from .policies.policy_gradient import PolicyGradient


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
