"""Reward baseline: moving averages of the rewards and of their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class RewardBaseline:
    """Exponential moving averages of the rewards and of their absolute deviation, bias-corrected as in Adam.

    A new batch has the weight (1 - decay) / `weight`, so early averages are not drawn towards zero.

    Attributes:
        decay: Decay of the averages, in [0, 1).
        weight: Sum of the weights of the batches so far, in [0, 1).
        mean: Average reward.
        deviation: Average absolute deviation of the rewards from the average before their batch.
    """

    decay: float
    weight: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0

    def centre(self, rewards: Sequence[float]) -> float:
        """The value that a batch is compared with: the average before it.

        The first batch is compared with its own mean, so that the policy learns from the differences within it.
        """
        return self.mean if self.weight else fmean(rewards)

    def updated(self, rewards: Sequence[float]) -> RewardBaseline:
        """The baseline after a batch."""
        centre = self.centre(rewards)
        deviation = fmean(abs(reward - centre) for reward in rewards)
        weight = self.decay * self.weight + 1 - self.decay
        share = (1 - self.decay) / weight
        # The new averages are steps from the old ones, not quotients of sums: equal rewards then leave no rounding
        # error, which the division by the deviation would magnify.
        return RewardBaseline(
            self.decay,
            weight,
            centre + share * (fmean(rewards) - centre),
            self.deviation + share * (deviation - self.deviation),
        )

    def advantages(self, rewards: Sequence[float]) -> list[float]:
        """Rewards less the average before the batch, in units of the average deviation including the batch.

        Without the unit, accuracies and squared errors would need different entropy weights. The batch counts in the
        unit only: were it in the centre too, a reward would be compared partly with itself. Equal rewards have zeros.
        """
        centre, unit = self.centre(rewards), self.updated(rewards).deviation
        return [(reward - centre) / unit if unit > 0 else 0.0 for reward in rewards]
