"""REINFORCE with a table policy, as published with NAS-Bench-201 (arXiv 2001.00326)."""

from __future__ import annotations

from nas.protocols import SearchSpace

from .policies.policy_gradient import PolicyGradient, UpdateOptions
from .policies.table import TablePolicy


class ReinforceNasBench201(PolicyGradient):
    """REINFORCE as in NAS-Bench-201's comparison of search methods (Dong & Yang, arXiv 2001.00326, and their code).

    There is no recurrent network: each choice has a softmax of its own, with initial logits of standard deviation
    0.001. Rewards are the scores themselves, and there is no entropy bonus. See `PolicyGradient` for late results and
    duplicates.

    Args:
        space: Search space.
        seed: Seed of the initial logits and of the samples.
        lr: Learning rate of Adam, above 0.
        batch: Scored trials to an update, from 1.
        baseline_decay: Decay of the moving average of the rewards, in [0, 1).
    """

    name = "reinforce-nas-bench-201"

    def __init__(
        self, space: SearchSpace, *, seed: int = 0, lr: float = 0.01, batch: int = 1, baseline_decay: float = 0.9
    ) -> None:
        options = UpdateOptions(lr, batch, baseline_decay)
        options.check(self.name)
        super().__init__(space, TablePolicy(seed=seed, lr=lr, spread=1e-3), options, seed=seed)
