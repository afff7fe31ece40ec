"""The space `mlp`: multilayer perceptrons, for regression and other inputs without a shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.bounds import LARGEST_WIDTH, check_number, check_numbers
from nas.space import Choose
from nas.task import TaskShape

if TYPE_CHECKING:
    from torch import nn

ACTIVATIONS = ("relu", "tanh", "gelu", "silu")


@dataclass(frozen=True)
class MlpSpec:
    """Decided architecture: the width of each hidden layer, and the activation of all."""

    widths: tuple[int, ...]
    activation: str


@dataclass(frozen=True)
class Mlp:
    """Multilayer perceptrons: depth, a width for each hidden layer, one activation for all.

    With w widths these are 4 (w + w² + … + w^max_depth) architectures; 1,360 by default. Inputs are flattened.

    Attributes:
        widths: Options for the width of a hidden layer.
        max_depth: Largest number of hidden layers; the smallest is 1.
    """

    widths: tuple[int, ...] = (10, 20, 40, 80)
    max_depth: int = 4
    name = "mlp"

    def __post_init__(self) -> None:
        check_numbers(self.name, "widths", self.widths, 1, LARGEST_WIDTH)
        check_number(self.name, "max_depth", self.max_depth, 1, 100)

    def decide(self, choose: Choose) -> MlpSpec:
        """The depth, then each layer's width, then the activation."""
        depth = choose("depth", range(1, self.max_depth + 1))
        widths = tuple(choose(f"width{layer}", self.widths) for layer in range(depth))
        return MlpSpec(widths, choose("activation", ACTIVATIONS))

    def build(self, spec: MlpSpec, task: TaskShape) -> nn.Module:
        """The network; inputs of any shape are flattened."""
        from .network import mlp

        return mlp(spec.widths, spec.activation, task)
