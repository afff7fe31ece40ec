"""Multilayer perceptrons and the fixed networks of MAML, against their papers."""

import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from helpers.spaces import normalised
from torch import nn
from torch.nn import functional as F

from nas.errors import ConfigError
from nas.search_spaces import Conv4, Mlp, Mlp40
from nas.search_spaces.plain.mlp import ACTIVATIONS, MlpSpec
from nas.space import count, enumerate_all, replay
from nas.task import TaskShape

IMAGES = TaskShape((1, 28, 28), 5)
NUMBERS = TaskShape((1,), 1, "regression")
SMALL = TaskShape((2, 8, 8), 3)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_conv4_has_as_many_parameters_as_mamls_network():
    """MAML's has 111,749, with 64 biases in each of four blocks. Normalisation has scales and shifts instead."""
    convolutions, head = 9 * 64 + 3 * 9 * 64 * 64, 64 * 5 + 5
    assert convolutions + 4 * 64 + head == 111_749
    assert parameters(Conv4().build(64, IMAGES)) == convolutions + 4 * 2 * 64 + head == 112_005


def test_conv4_computes_four_blocks_a_mean_and_a_head():
    network = Conv4(6).build(6, SMALL).double()
    x = torch.rand(4, *SMALL.input_shape, dtype=torch.float64)
    weights = list(network.parameters())
    y = x
    for block in range(4):
        kernel, scale, shift = weights[3 * block : 3 * block + 3]
        y = normalised(F.conv2d(y, kernel, stride=2, padding=1), scale, shift).relu()
    expected = y.mean(dim=(2, 3)) @ weights[-2].T + weights[-1]
    assert torch.allclose(network(x), expected)


def test_mamls_sinusoid_network():
    network = Mlp40().build((40, 40), NUMBERS)
    assert [tuple(p.shape) for p in network.parameters()] == [(40, 1), (40,), (40, 40), (40,), (1, 40), (1,)]
    assert [type(layer) for layer in network][1:] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]


def test_mamls_sinusoid_network_can_start_from_a_cut_off_normal_distribution():
    """The moments of a normal distribution cut off at two deviations: its own deviation is 0.8796 of the whole's."""
    networks = [Mlp40(init_std=0.01).build((40, 40), NUMBERS) for _ in range(10)]
    weights = torch.cat([p.flatten() for n in networks for key, p in n.state_dict().items() if key.endswith("weight")])
    assert weights.abs().max() <= 0.02
    assert weights.mean().abs() < 4 * 0.0088 / len(weights) ** 0.5
    assert weights.std() == pytest.approx(0.01 * 0.8796, rel=0.02)
    assert not any(p.any() for n in networks for key, p in n.named_parameters() if key.endswith("bias"))
    with pytest.raises(ConfigError, match="mlp40 init_std = -1"):
        Mlp40(init_std=-1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_mlp_computes_what_its_spec_says(activation):
    shape = TaskShape((2, 3), 4)
    network = Mlp().build(MlpSpec((5, 7), activation), shape).double()
    x = torch.rand(3, 2, 3, dtype=torch.float64)
    function = {"relu": torch.relu, "tanh": torch.tanh, "gelu": F.gelu, "silu": F.silu}[activation]
    y = x.reshape(3, 6)
    *hidden, last = pairs(network.parameters())
    for weight, bias in hidden:
        y = function(y @ weight.T + bias)
    assert [w.shape[0] for w, _ in hidden] == [5, 7]
    assert torch.allclose(network(x), y @ last[0].T + last[1])


def pairs(items):
    items = list(items)
    return list(zip(items[::2], items[1::2], strict=True))


def test_an_mlps_depth_opens_its_widths():
    space = Mlp(widths=(3, 5, 8), max_depth=3)
    assert count(space).value == 4 * (3 + 9 + 27)
    assert {len(replay(space, a).widths) for a in enumerate_all(space)} == {1, 2, 3}


@pytest.mark.parametrize("options", [{"widths": ()}, {"widths": (0, 4)}, {"widths": (4, 4)}, {"max_depth": 0}])
def test_an_mlp_without_layers_or_widths_is_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Mlp(**options)


def test_conv4_without_channels_is_refused():
    with pytest.raises(ConfigError, match="conv4 width = 0"):
        Conv4(0)


# --- the cell --------------------------------------------------------------------------------------------------------
