"""Steps of the coordinatewise LSTM without gradients, in place and in chunks that stay in the processor's cache."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from .lstm import INPUTS, LstmSpec, LstmState, Weights, preprocess

CHUNK = 8192
"""Coordinates that a CPU takes at once: their gates, 80 rows of float32, are 2.6 MB."""


class FusedLstm:
    """The network with the matrices of a layer joined, for many steps with the same weights.

    The inputs and the layers' outputs are rows of one tensor, so that the input of a layer and its own last output are
    neighbours and one multiplication takes both. tanh(x) is taken as 2σ(2x) - 1, so that one call computes all gates.
    """

    def __init__(self, spec: LstmSpec, weights: Weights) -> None:
        self.spec = spec
        self.layers = [_joined(spec, weights, layer) for layer in range(spec.layers)]
        self.weight_output = spec.output_scale * weights["weight_output"].detach()
        self.bias_output = spec.output_scale * weights["bias_output"].detach()[:, None]

    def start(self, coordinates: int) -> tuple[Tensor, Tensor]:
        """The state of coordinates that have had no step, for `step_`.

        Returns:
            Inputs and outputs of the layers (2 + layers * hidden, coordinates) and cells (layers, hidden, coordinates),
            all zero.
        """
        rows = self.spec.layers * self.spec.hidden
        like = self.weight_output
        return (
            like.new_zeros(INPUTS + rows, coordinates),
            like.new_zeros(self.spec.layers, self.spec.hidden, coordinates),
        )

    @torch.no_grad()
    def step_(self, gradient: Tensor, signals: Tensor, cell: Tensor) -> Tensor:
        """One step, which changes the state in place.

        Args:
            gradient: Gradients (coordinates,).
            signals: The first tensor of `start`; its first two rows become the preprocessed gradients.
            cell: The second tensor of `start`.

        Returns:
            The updates (coordinates,), which are added to the parameters.
        """
        size = len(gradient) if gradient.device.type != "cpu" else CHUNK
        updates = torch.empty_like(gradient)
        bounds = [*range(0, len(gradient), max(size, 1)), len(gradient)]
        for start, end in pairwise(bounds):
            part = slice(start, end)
            updates[part] = self._step(gradient[part], signals[:, part], cell[:, :, part])
        return updates

    def _step(self, gradient: Tensor, signals: Tensor, cell: Tensor) -> Tensor:
        signals[:INPUTS] = preprocess(gradient, self.spec.preprocessing)
        hidden, first = self.spec.hidden, 0
        for layer, (weight, bias) in enumerate(self.layers):
            last = first + weight.shape[1]
            gates = torch.addmm(bias, weight, signals[first:last]).sigmoid_()
            i, f, g, o = gates.view(4, hidden, -1)
            new = cell[layer].mul_(f).add_(torch.addcmul(i, i, g, value=-2), alpha=-1)
            squashed = (2 * new).sigmoid_()
            torch.addcmul(-o, o, squashed, value=2, out=signals[last - hidden : last])
            first = last - hidden
        return torch.addmm(self.bias_output, self.weight_output, signals[-hidden:])[0]


def state_of(spec: LstmSpec, signals: Tensor, cell: Tensor) -> LstmState:
    """A copy of a state of `FusedLstm` as `lstm.step` takes it."""
    hidden = signals[INPUTS:].view(spec.layers, spec.hidden, -1)
    return LstmState(hidden.clone(), cell.clone())


def _joined(spec: LstmSpec, weights: Weights, layer: int) -> tuple[Tensor, Tensor]:
    """Weight (4 * hidden, inputs + hidden) and bias (4 * hidden, 1), with the cell's gate doubled."""
    weight = torch.cat([weights[f"weight_ih_l{layer}"], weights[f"weight_hh_l{layer}"]], dim=1).detach()
    bias = weights[f"bias_l{layer}"].detach()[:, None]
    factor = bias.new_ones(4, spec.hidden)
    factor[2] = 2
    return weight * factor.reshape(-1, 1), bias * factor.reshape(-1, 1)
