"""Baseline networks designed by hand, as spaces of one architecture each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.bounds import LARGEST_WIDTH, check_number
from nas.space import Choose
from nas.task import TaskShape

from ..input_checks import check_images

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Conv4:
    """Baseline for images: the four-block convolutional network of MAML's Omniglot experiments.

    Finn et al. (arXiv 1703.03400, section 5.2): four 3×3 convolutions of stride 2 with 64 channels, a spatial mean and
    a linear head. The convolutions have no bias, because the normalisation has one.

    Attributes:
        width: Channels of every convolution.
    """

    width: int = 64
    name = "conv4"

    def __post_init__(self) -> None:
        check_number(self.name, "width", self.width, 1, LARGEST_WIDTH)

    def decide(self, choose: Choose) -> int:
        """The width; there is nothing to choose."""
        return self.width

    def build(self, spec: int, task: TaskShape) -> nn.Module:
        """The network.

        Raises:
            SpaceError: The task's inputs are not images.
        """
        from .network import conv4

        check_images(self.name, task)
        return conv4(spec, task)


@dataclass(frozen=True)
class Mlp40:
    """Baseline for regression: the multilayer perceptron of MAML's sinusoid experiments.

    Finn et al. (arXiv 1703.03400, section 5.1): two hidden layers of 40 with ReLU.

    Attributes:
        init_std: Standard deviation of the initial weights, a normal distribution truncated at two deviations; biases
            are then zero (the authors' code: 0.01). 0 takes torch's own initial weights.
    """

    init_std: float = 0.0
    name = "mlp40"

    def __post_init__(self) -> None:
        check_number(self.name, "init_std", self.init_std, 0.0, 100.0)

    def decide(self, choose: Choose) -> tuple[int, int]:
        """The widths of the hidden layers; there is nothing to choose."""
        return 40, 40

    def build(self, spec: tuple[int, int], task: TaskShape) -> nn.Module:
        """The network; inputs of any shape are flattened."""
        from torch import nn

        from .network import mlp

        network = mlp(spec, "relu", task)
        for layer in network.children() if self.init_std else ():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=self.init_std, a=-2 * self.init_std, b=2 * self.init_std)
                nn.init.zeros_(layer.bias)
        return network
