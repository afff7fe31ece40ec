"""The coordinatewise LSTM against torch's cells, and its laws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.errors import ConfigError
from nas.evaluators.optimizers import fused_step, lstm
from nas.evaluators.optimizers.fused_step import FusedLstm, state_of
from nas.evaluators.optimizers.lstm import LstmSpec, initial_state, initial_weights, preprocess


def weights_of(spec, dtype=torch.float64, seed=0):
    return {n: w.to(dtype) for n, w in initial_weights(spec, torch.Generator().manual_seed(seed)).items()}


def slow_steps(spec, weights, gradients):
    """Updates of each coordinate by torch's own cells, one coordinate after the other."""
    cells = []
    for layer in range(spec.layers):
        cell = nn.LSTMCell(spec.hidden if layer else 2, spec.hidden, dtype=gradients.dtype)
        cell.weight_ih.data, cell.weight_hh.data = weights[f"weight_ih_l{layer}"], weights[f"weight_hh_l{layer}"]
        cell.bias_ih.data = weights[f"bias_l{layer}"]
        cell.bias_hh.data.zero_()
        cells.append(cell)
    updates = torch.zeros_like(gradients)
    for coordinate in range(gradients.shape[1]):
        states = [(gradients.new_zeros(1, spec.hidden),) * 2 for _ in cells]
        for number, gradient in enumerate(gradients[:, coordinate].tolist()):
            if abs(gradient) >= math.exp(-spec.preprocessing):
                pair = [math.log(abs(gradient)) / spec.preprocessing, math.copysign(1, gradient)]
            else:
                pair = [-1.0, math.exp(spec.preprocessing) * gradient]
            signal = gradients.new_tensor([pair])
            for layer, cell in enumerate(cells):
                states[layer] = cell(signal, states[layer])
                signal = states[layer][0]
            output = signal @ weights["weight_output"].T + weights["bias_output"]
            updates[number, coordinate] = spec.output_scale * output.item()
    return updates


def gradients_of(steps, coordinates, dtype=torch.float64):
    """Gradients of many orders of magnitude, some of them zero."""
    generator = torch.Generator().manual_seed(1)
    sizes = torch.exp(8 * torch.randn(steps, coordinates, generator=generator, dtype=torch.float64) - 4)
    signs = torch.randint(-1, 2, (steps, coordinates), generator=generator)
    return (sizes * signs).to(dtype)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_both_forms_of_a_step_are_those_of_torchs_cells_for_each_coordinate(monkeypatch, layers, dtype, tolerance):
    monkeypatch.setattr(fused_step, "CHUNK", 4)
    spec = LstmSpec(hidden=5, layers=layers, preprocessing=6.0, output_scale=0.7)
    weights, gradients = weights_of(spec, dtype), gradients_of(6, 11, dtype)
    expected = slow_steps(spec, weights, gradients)
    fused, state = FusedLstm(spec, weights), initial_state(spec, 11, gradients)
    signals, cell = fused.start(11)
    for gradient, right in zip(gradients, expected, strict=True):
        update, state = lstm.step(spec, weights, preprocess(gradient, spec.preprocessing), state)
        torch.testing.assert_close(update, right, atol=tolerance, rtol=0)
        torch.testing.assert_close(fused.step_(gradient, signals, cell), right, atol=tolerance, rtol=0)
    for ours, theirs in zip(state_of(spec, signals, cell), state, strict=True):
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0)


def test_the_gradient_of_a_cell_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    gates = torch.randn(12, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    cell = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lstm._Cell.apply, (gates, cell))


def test_permuted_coordinates_have_permuted_updates():
    spec = LstmSpec(hidden=6)
    fused, gradients = FusedLstm(spec, weights_of(spec)), gradients_of(3, 9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    one, other = fused.start(9), fused.start(9)
    for gradient in gradients:
        torch.testing.assert_close(fused.step_(gradient, *one)[order], fused.step_(gradient[order], *other))


def test_preprocessing_is_that_of_the_paper_at_its_border_and_at_zero():
    edge = math.exp(-10)
    found = preprocess(torch.tensor([0.0, edge / 2, -edge / 2, 1.0, -math.e], dtype=torch.float64), 10.0)
    torch.testing.assert_close(found[0], torch.tensor([-1.0, -1.0, -1.0, 0.0, 0.1], dtype=torch.float64))
    torch.testing.assert_close(found[1], torch.tensor([0.0, 0.5, -0.5, 1.0, -1.0], dtype=torch.float64))


@pytest.mark.parametrize(
    "options", [{"hidden": 0}, {"hidden": 2.5}, {"layers": 9}, {"preprocessing": 0.0}, {"output_scale": math.nan}]
)
def test_sizes_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match=f"{next(iter(options))} = .* it must be"):
        LstmSpec(**options)
