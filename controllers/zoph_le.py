"""REINFORCE with an LSTM policy, as published by Zoph & Le (arXiv 1611.01578)."""

from __future__ import annotations

from nas.protocols import SearchSpace

from .policies.policy_gradient import PolicyGradient, UpdateOptions, check_lstm_size


class ZophLe(PolicyGradient):
    """Zoph & Le, "Neural Architecture Search with Reinforcement Learning" (arXiv 1611.01578), section 3.2.

    Williams' policy gradient (1992) on an LSTM that makes one choice after another. Advantages are in units of their
    average deviation from the reward baseline (`RewardBaseline`), on which the paper is silent. The paper's learning
    rate is meant for 12,800 candidates and changes little within 200. See `PolicyGradient` for late results and
    duplicates. Needs torch.

    Args:
        space: Search space.
        seed: Seed of the initial parameters and of the samples.
        lr: Learning rate of Adam, above 0.
        batch: Scored trials to an update, from 1; the paper's m children of a controller replica.
        power: Exponent of the scores, whose sign is kept, above 0; the paper cubes the accuracies of convolutional
            networks.
        entropy: Weight of the policy's entropy in the objective, from 0.
        baseline_decay: Decay of the moving average of the rewards, in [0, 1).
        hidden: Width of the LSTM, from 1 to 4096.
        layers: Layers of the LSTM, from 1 to 16.
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
        options = UpdateOptions(lr, batch, baseline_decay, power, entropy)
        options.check(self.name)
        check_lstm_size(self.name, hidden, layers)
        from .policies.lstm import LstmPolicy  # imports torch

        super().__init__(space, LstmPolicy(seed=seed, lr=lr, hidden=hidden, layers=layers), options, seed=seed)
