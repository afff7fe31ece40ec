"""Coordinatewise LSTM that maps gradients to updates (Andrychowicz et al., arXiv 1606.04474, section 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nas.bounds import check_number

Weights = Mapping[str, Tensor]
INPUTS = 2
"""Numbers that preprocessing makes of a gradient's coordinate."""


@dataclass(frozen=True)
class LstmSpec:
    """Size of the network and scaling of its inputs and outputs.

    Attributes:
        hidden: Units of a layer, in [1, 1024].
        layers: LSTM layers, in [1, 8].
        preprocessing: p of the gradients' preprocessing, above 0.
        output_scale: Factor of the linear output layer, above 0.
    """

    hidden: int = 20
    layers: int = 2
    preprocessing: float = 10.0
    output_scale: float = 0.1

    def __post_init__(self) -> None:
        check_number("the optimizer", "hidden", self.hidden, 1, 1024)
        check_number("the optimizer", "layers", self.layers, 1, 8)
        check_number("the optimizer", "preprocessing", self.preprocessing, 0.0, 80.0, above=True)
        check_number("the optimizer", "output_scale", self.output_scale, 0.0, 1e3, above=True)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights by name. Rows of the gates are in torch's order: input, forget, cell, output."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            shapes[f"weight_ih_l{layer}"] = (4 * self.hidden, self.hidden if layer else INPUTS)
            shapes[f"weight_hh_l{layer}"] = (4 * self.hidden, self.hidden)
            shapes[f"bias_l{layer}"] = (4 * self.hidden,)
        return {**shapes, "weight_output": (1, self.hidden), "bias_output": (1,)}


class LstmState(NamedTuple):
    """State of each coordinate.

    Attributes:
        hidden: Outputs of the layers, (layers, hidden, coordinates).
        cell: Their cells, of the same shape.
    """

    hidden: Tensor
    cell: Tensor


def initial_weights(spec: LstmSpec, generator: torch.Generator, forget_bias: float = 0.0) -> dict[str, Tensor]:
    """Weights uniform in ±1/√hidden, as torch initialises an LSTM, in float32 on the CPU.

    Args:
        spec: Size of the network.
        generator: Source of randomness.
        forget_bias: Added to the biases of the forget gates.
    """
    bound = spec.hidden**-0.5
    shapes = spec.shapes()
    weights = {name: (2 * torch.rand(shape, generator=generator) - 1) * bound for name, shape in shapes.items()}
    for layer in range(spec.layers):
        weights[f"bias_l{layer}"][spec.hidden : 2 * spec.hidden] += forget_bias
    return weights


def initial_state(spec: LstmSpec, coordinates: int, like: Tensor) -> LstmState:
    """Zeros, of the dtype and on the device of `like`."""
    zeros = like.new_zeros(spec.layers, spec.hidden, coordinates)
    return LstmState(zeros, zeros)


def preprocess(gradient: Tensor, p: float) -> Tensor:
    """Logarithm and sign of a gradient, which an LSTM can tell apart over many orders of magnitude (appendix A).

    Args:
        gradient: Gradients (coordinates,).
        p: Gradients below e⁻ᵖ in size are scaled linearly.

    Returns:
        Inputs (2, coordinates): (log |g| / p, sign g) where |g| ≥ e⁻ᵖ, else (-1, eᵖ g).
    """
    scaled = gradient * torch.tensor(p, dtype=gradient.dtype).exp().item()
    # Where |g| ≥ e⁻ᵖ, the scaled gradient is at least 1 in size, so that the cut to [-1, 1] is its sign; elsewhere the
    # logarithm is below -p, so that its cut is -1.
    return torch.stack([(gradient.abs().log() / p).clamp(min=-1.0), scaled.clamp(-1.0, 1.0)])


def step(spec: LstmSpec, weights: Weights, inputs: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
    """Updates of some coordinates from their preprocessed gradients; differentiable once.

    Args:
        spec: Size of the network.
        weights: Its weights by name.
        inputs: Preprocessed gradients (2, coordinates).
        state: State before the step.

    Returns:
        The updates (coordinates,), which are added to the parameters, and the state after the step.
    """
    below, hidden, cell = inputs, [], []
    for layer in range(spec.layers):
        gates = torch.addmm(weights[f"bias_l{layer}"][:, None], weights[f"weight_ih_l{layer}"], below)
        gates = torch.addmm(gates, weights[f"weight_hh_l{layer}"], state.hidden[layer])
        below, new = _Cell.apply(gates, state.cell[layer])
        hidden.append(below)
        cell.append(new)
    updates = torch.addmm(weights["bias_output"][:, None], weights["weight_output"], below)[0]
    return spec.output_scale * updates, LstmState(torch.stack(hidden), torch.stack(cell))


class _Cell(torch.autograd.Function):
    """Pointwise part of an LSTM layer, with the gradient in closed form: a third of autograd's operations."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = gates.chunk(4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        new = torch.addcmul(f * cell, i, g)
        squashed = new.tanh()
        ctx.save_for_backward(i, f, g, o, cell, squashed)
        return o * squashed, new

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        grad_hidden, grad_new = gradients
        i, f, g, o, cell, squashed = ctx.saved_tensors
        grad_new = grad_new + grad_hidden * o * (1 - squashed * squashed)
        grad_gates = torch.cat(
            [
                grad_new * g * i * (1 - i),
                grad_new * cell * f * (1 - f),
                grad_new * i * (1 - g * g),
                grad_hidden * squashed * o * (1 - o),
            ]
        )
        return grad_gates, grad_new * f
