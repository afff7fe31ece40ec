"""The LSTM against torch's."""

import numpy as np
import pytest
import torch

from nas.controllers.policies import lstm

ORDER = [0, 1, 3, 2]
"""Our gates (input, forget, output, candidate) in torch's order."""


def layers_of(hidden, layers):
    rng = np.random.default_rng(0)
    return [rng.normal(size=lstm.shape(hidden)) for _ in range(layers)]


def torchs(layers):
    """torch's LSTM of the same weights, with our bias as its first and zeros as its second."""
    hidden = layers[0].shape[1] // 4
    made = torch.nn.LSTM(hidden, hidden, len(layers), dtype=torch.double)
    with torch.no_grad():
        for number, layer in enumerate(layers):
            ordered = torch.tensor(layer).unflatten(1, (4, hidden))[:, ORDER].flatten(1)
            by_read, by_last, bias = ordered.split([hidden, hidden, 1])
            getattr(made, f"weight_ih_l{number}").copy_(by_read.T)
            getattr(made, f"weight_hh_l{number}").copy_(by_last.T)
            getattr(made, f"bias_ih_l{number}").copy_(bias[0])
            getattr(made, f"bias_hh_l{number}").zero_()
    return made


def our_gradient(made, number):
    """The gradient of torch's layer, laid out as one of our matrices."""
    parts = [getattr(made, f"{name}_l{number}").grad for name in ("weight_ih", "weight_hh", "bias_ih")]
    rows = torch.cat([parts[0].T, parts[1].T, parts[2][None]])
    return rows.unflatten(1, (4, -1))[:, ORDER].flatten(1).numpy()


@pytest.mark.parametrize(("steps", "sequences", "hidden", "layers"), [(7, 3, 5, 2), (1, 1, 1, 1), (4, 2, 6, 3)])
def test_outputs_and_derivatives_are_those_of_torch(steps, sequences, hidden, layers):
    rng = np.random.default_rng(1)
    inputs, by_outputs = rng.normal(size=(2, steps, sequences, hidden))
    matrices = layers_of(hidden, layers)
    outputs, back = lstm.forward(matrices, inputs)
    by_layers, by_inputs = back(by_outputs)

    reference, read = torchs(matrices), torch.tensor(inputs, requires_grad=True)
    expected = reference(read)[0]
    expected.backward(torch.tensor(by_outputs))
    np.testing.assert_allclose(outputs, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(by_inputs, read.grad.numpy(), rtol=1e-9, atol=1e-12)
    for number, by_layer in enumerate(by_layers):
        np.testing.assert_allclose(by_layer, our_gradient(reference, number), rtol=1e-9, atol=1e-12)


def test_one_step_after_the_other_is_the_whole_sequence():
    inputs, matrices = np.random.default_rng(1).normal(size=(7, 1, 5)), layers_of(5, 2)
    state, outputs = lstm.start(matrices), []
    for read in inputs[:, 0]:
        output, state = lstm.step(matrices, read, state)
        outputs.append(output)
    np.testing.assert_allclose(outputs, lstm.forward(matrices, inputs)[0][:, 0], rtol=1e-12)


def test_nothing_that_it_is_given_is_changed():
    inputs, matrices = np.random.default_rng(1).normal(size=(3, 2, 5)), layers_of(5, 2)
    copies = [array.copy() for array in (inputs, *matrices)]
    outputs, back = lstm.forward(matrices, inputs)
    first, second = back(outputs), back(outputs)
    for array, copy in zip((inputs, *matrices), copies, strict=True):
        assert np.array_equal(array, copy)
    assert np.array_equal(first[1], second[1])
