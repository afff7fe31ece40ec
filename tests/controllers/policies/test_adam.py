"""Tests of Adam against torch's, for parameters that come and go."""

import numpy as np
import pytest
import torch

from nas.controllers.policies.adam import Adam


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_its_steps_are_those_of_torch_whichever_parameters_a_loss_meets(scale):
    rng = np.random.default_rng(0)
    shapes = {"always": (3, 4), "seldom": (5,), "later": (2, 2), "never": (2,)}
    ours = {name: rng.normal(size=shapes[name]) for name in ("always", "seldom", "never")}
    theirs = {name: torch.tensor(array, requires_grad=True) for name, array in ours.items()}
    adam, reference = Adam(ours, 0.03), torch.optim.Adam(list(theirs.values()), lr=0.03)
    for number in range(30):
        met = ["always", *["seldom"] * (number % 4 == 1), *["later"] * (number > 10)]
        if number == 11:
            ours["later"] = rng.normal(size=shapes["later"])
            theirs["later"] = torch.tensor(ours["later"], requires_grad=True)
            reference.add_param_group({"params": [theirs["later"]]})
        gradient = {name: scale * rng.normal(size=shapes[name]) for name in met}
        adam.step(gradient)
        for name, tensor in theirs.items():
            tensor.grad = torch.tensor(gradient[name]) if name in gradient else None
        reference.step()
        for name, tensor in theirs.items():
            np.testing.assert_allclose(ours[name], tensor.detach().numpy(), rtol=1e-10)


def test_arrays_are_replaced_and_never_changed():
    before, gradient = np.ones(3), np.array([1.0, -1.0, 2.0])
    parameters = {"a": before}
    adam = Adam(parameters, 0.1)
    for _ in range(2):
        adam.step({"a": gradient})
    np.testing.assert_allclose(parameters["a"], [0.8, 1.2, 0.8])
    assert before.tolist() == [1, 1, 1]
    assert gradient.tolist() == [1, -1, 2]
