"""What a reward is compared with before it moves the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class Baseline:
    """Moving averages of the rewards and of their distance from the average; `decay` in [0, 1).

    Both are debiased as in Adam: `weight` is the sum of the weights of the batches seen, and a new batch counts for its
    share of it, so early averages are not drawn towards zero.
    """

    decay: float
    weight: float = 0.0
    mean: float = 0.0
    distance: float = 0.0

    def centre(self, rewards: Sequence[float]) -> float:
        """What `rewards` are judged by: the average before them. Nothing comes before the first batch, which is
        judged by its own mean and so does learn, from the differences within it."""
        return self.mean if self.weight else fmean(rewards)

    def updated(self, rewards: Sequence[float]) -> Baseline:
        """The baseline after a batch."""
        centre = self.centre(rewards)
        distance = fmean(abs(reward - centre) for reward in rewards)
        weight = self.decay * self.weight + 1 - self.decay
        share = (1 - self.decay) / weight
        # As steps from the old values, not as sums over the weight: equal rewards then leave no rounding error, which
        # dividing by the distance would blow up.
        return Baseline(
            self.decay,
            weight,
            centre + share * (fmean(rewards) - centre),
            self.distance + share * (distance - self.distance),
        )

    def advantages(self, rewards: Sequence[float]) -> list[float]:
        """How far each reward is above what came before it, in units of the average distance, this batch's included.

        Without the unit, accuracies and squared errors would need different entropy weights. Only the unit knows the
        batch: were it in the centre too, a reward would be judged partly by itself. Zeros where all rewards are equal.
        """
        centre, unit = self.centre(rewards), self.updated(rewards).distance
        return [(reward - centre) / unit if unit > 0 else 0.0 for reward in rewards]
