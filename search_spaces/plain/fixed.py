"""Hand-designed networks, as spaces of one architecture each: what a search's winner is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.bounds import LARGEST_WIDTH, check_number
from nas.errors import SpaceError
from nas.space import Choose
from nas.task import TaskShape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Conv4:
    """The network of MAML's Omniglot experiments (Finn et al., arXiv 1703.03400, section 5.2): four 3×3 convolutions of
    stride 2 with 64 channels, a spatial mean, a linear head."""

    width: int = 64
    name = "conv4"

    def __post_init__(self) -> None:
        check_number(self.name, "width", self.width, 1, LARGEST_WIDTH)

    def decide(self, choose: Choose) -> int:
        return self.width

    def build(self, spec: int, task: TaskShape) -> nn.Module:
        from .network import conv4

        if len(task.input_shape) != 3:
            raise SpaceError(f"conv4 needs images (channels, height, width); this task's inputs are {task.input_shape}")
        return conv4(spec, task)


@dataclass(frozen=True)
class Mlp40:
    """The network of MAML's sinusoid experiments (section 5.1): two hidden layers of 40 with ReLU.

    init_std  above 0: weights are drawn from a normal distribution of this deviation, cut off at two of them, and
              biases are zero (the authors' code: 0.01); 0: torch's own initial weights
    """

    init_std: float = 0.0
    name = "mlp40"

    def __post_init__(self) -> None:
        check_number(self.name, "init_std", self.init_std, 0.0, 100.0)

    def decide(self, choose: Choose) -> tuple[int, int]:
        return 40, 40

    def build(self, spec: tuple[int, int], task: TaskShape) -> nn.Module:
        from torch import nn

        from .network import mlp

        network = mlp(spec, "relu", task)
        for layer in network.children() if self.init_std else ():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=self.init_std, a=-2 * self.init_std, b=2 * self.init_std)
                nn.init.zeros_(layer.bias)
        return network
