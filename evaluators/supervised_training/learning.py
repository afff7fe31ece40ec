"""Requirements of supervised training on a network, and the adaptation of a trained network to other classes."""

from __future__ import annotations

from torch import Tensor, nn

from ..learners import FineTune
from ..networks.compatibility import check_gradient

ADAPTATION = FineTune()
"""Adaptation of a trained network to labelled examples of other classes, as `nas adapt` does it: a new head is fitted
to them on the features of the trained body (Chen et al., arXiv 1904.04232, section 3)."""


class Backpropagation:
    """Gradients of a mini-batch's loss: of first order, with the same weights for all examples."""

    def check(self, network: nn.Module, x: Tensor) -> None:
        """Raises SpaceError where the network cannot be differentiated, tried on inputs x (examples, *input_shape)."""
        check_gradient(network, x, batched=False, twice=False)
