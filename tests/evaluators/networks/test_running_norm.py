"""Normalisation by running averages: the numbers of torch's layers, and the same network in both modes."""

import copy

import pytest
import torch
from torch import nn

from nas.evaluators.networks.normalisation import RunningNorm, batch_statistics, sees_batch, set_normalisation


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, eps=1e-3, momentum=0.3), nn.ReLU(), nn.Flatten())


@pytest.mark.parametrize("kind, shape", [(nn.BatchNorm1d, (8, 3)), (nn.BatchNorm2d, (8, 3, 4, 5))])
@pytest.mark.parametrize("affine", [True, False])
def test_it_gives_what_the_layer_of_torch_gives(kind, shape, affine):
    layer = kind(3, affine=affine)
    running = RunningNorm(copy.deepcopy(layer))
    for batch in range(3):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(batch)) + batch
        with batch_statistics(running):
            torch.testing.assert_close(running(x), layer(x))
    torch.testing.assert_close(running.mean, layer.running_mean)
    torch.testing.assert_close(running.variance, layer.running_var)
    torch.testing.assert_close(running(x), layer.eval()(x))


def test_outside_training_a_network_is_the_same_in_both_modes_and_keeps_its_averages():
    replaced = set_normalisation(network(), "running")
    x = torch.randn(6, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    with batch_statistics(replaced):
        replaced(x)
    before = copy.deepcopy(replaced.state_dict())
    assert torch.equal(replaced.train()(x), replaced.eval()(x))
    torch.testing.assert_close(replaced(x)[:1], replaced(x[:1]))
    assert all(torch.equal(value, before[name]) for name, value in replaced.state_dict().items())
    assert not sees_batch(replaced)


def test_the_layer_keeps_parameters_and_options():
    original = network()
    layer = set_normalisation(original, "running")[1]
    assert isinstance(layer, RunningNorm)
    assert (layer.eps, layer.momentum) == (1e-3, 0.3)
    assert sorted(name for name, _ in layer.named_parameters()) == ["bias", "weight"]


def test_an_error_ends_the_use_of_batch_statistics():
    replaced = set_normalisation(network(), "running")
    with pytest.raises(RuntimeError), batch_statistics(replaced):
        replaced(torch.zeros(1))
    assert not replaced[1].of_batch
