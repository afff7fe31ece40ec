"""The chain of convolutions: its count, its networks against loops over pixels, its diagram."""

import itertools
import math
import random

import networkx as nx
import numpy as np
import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from helpers.networks import check_treatable

from nas.errors import ConfigError, SpaceError
from nas.search_spaces import ConvChain
from nas.search_spaces.conv_chain.spec import ConvLayer
from nas.space import count, enumerate_all, replay, sample
from nas.space.graph import canonical, live
from nas.task import TaskShape
from nas.testing import check_space

PUBLISHED = {"heights": (1, 3, 5, 7), "widths": (1, 3, 5, 7), "filters": (24, 36, 48, 64)}
TINY = {"heights": (1, 3), "widths": (3,), "filters": (2,), "strides": (1, 2)}
SHAPE = TaskShape((2, 7, 6), 3)


# --- the count -------------------------------------------------------------------------------------------------------


def closed_form(space):
    """Each layer has its own numbers; each pair of layers may be joined."""
    layer = len(space.heights) * len(space.widths) * len(space.filters) * len(space.strides) ** 2
    return sum(layer**depth * 2 ** math.comb(depth, 2) for depth in space.depths)


def test_all_of_a_small_space_is_its_closed_form():
    space = ConvChain(**TINY, depths=(1, 2, 3))
    found = count(space)
    assert found.exact
    assert found.value == closed_form(space) == 8 + 64 * 2 + 512 * 8


@pytest.mark.parametrize("strides, layer", [((1,), 64), ((1, 2, 3), 576)])
def test_the_published_options_of_a_layer(strides, layer):
    """4 heights, 4 widths, 4 numbers of filters, and 3 strides each way where they are searched (section 4.1)."""
    space = ConvChain(**PUBLISHED, strides=strides, depths=(15,))
    estimate = count(space, limit=10, samples=20)
    assert estimate.value == layer**15 * 2**105
    assert estimate.interval == (estimate.value, estimate.value)  # all descents have as many options
    assert closed_form(space) == layer**15 * 2**105


def test_every_choice_changes_the_spec():
    space = ConvChain(**TINY, depths=(1, 2))
    specs = [replay(space, architecture) for architecture in enumerate_all(space)]
    assert len(set(specs)) == len(specs)
    assert {layer.inputs for spec in specs for layer in spec} == {(), (0,)}


# --- the network -----------------------------------------------------------------------------------------------------


def slow_convolution(x, kernel, stride):
    """x (examples, channels, height, width), one output number at a time; pixels outside are zero."""
    examples, _, height, width = x.shape
    outputs, _, down, right = kernel.shape
    y = np.zeros((examples, outputs, math.ceil(height / stride[0]), math.ceil(width / stride[1])))
    for n, o, i, j in np.ndindex(y.shape):
        for a, b in np.ndindex(down, right):
            row, column = i * stride[0] + a - down // 2, j * stride[1] + b - right // 2
            if 0 <= row < height and 0 <= column < width:
                y[n, o, i, j] += x[n, :, row, column] @ kernel[o, :, a, b]
    return y


def slow_normalisation(x, scale, shift):
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * scale[:, None, None] + shift[:, None, None]


def side_by_side(maps):
    """All channels on canvases of zeros as large as the largest map, each map in the middle of its own."""
    height, width = (max(m.shape[axis] for m in maps) for axis in (2, 3))
    canvas = np.zeros((len(maps[0]), sum(m.shape[1] for m in maps), height, width))
    channel = 0
    for m in maps:
        top, left = (height - m.shape[2]) // 2, (width - m.shape[3]) // 2
        canvas[:, channel : channel + m.shape[1], top : top + m.shape[2], left : left + m.shape[3]] = m
        channel += m.shape[1]
    return canvas


def slow_pool(x, cells=3):
    """The mean of each of 3×3 regions, which begin and end at rounded thirds and may overlap."""
    height, width = x.shape[2:]
    y = np.zeros((*x.shape[:2], cells, cells))
    for i, j in np.ndindex(cells, cells):
        rows = slice(i * height // cells, -(-(i + 1) * height // cells))
        columns = slice(j * width // cells, -(-(j + 1) * width // cells))
        y[:, :, i, j] = x[:, :, rows, columns].mean((2, 3))
    return y


def slow_network(spec, weights, x):
    weights = iter(weights)
    maps = []
    for layer in spec:
        given = side_by_side([maps[source] for source in layer.inputs]) if layer.inputs else x
        y = slow_convolution(given, next(weights), layer.stride)
        maps.append(np.maximum(slow_normalisation(y, next(weights), next(weights)), 0))
    unused = [m for index, m in enumerate(maps) if not any(index in layer.inputs for layer in spec)]
    features = slow_pool(side_by_side(unused)).reshape(len(x), -1)
    return features @ next(weights).T + next(weights)


def test_networks_compute_what_their_spec_says():
    space = ConvChain((1, 3, 5), (1, 3, 5), (2, 3), (1, 2, 3), (1, 2, 3, 4))
    rng = random.Random(0)
    joins = set()
    for _ in range(25):
        spec = replay(space, sample(space, rng))
        network = space.build(spec, SHAPE).double()
        for p in network.parameters():
            p.data += 0.1 * torch.randn_like(p)
        x = torch.randn(3, *SHAPE.input_shape, dtype=torch.float64)
        expected = slow_network(spec, [p.detach().numpy() for p in network.parameters()], x.numpy())
        assert np.allclose(network(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9), spec
        joins |= {len(layer.inputs) for layer in spec}
    assert joins >= {0, 1, 2}


def test_small_maps_are_padded_in_the_middle_of_large_ones():
    """Of two loose ends of 7×6 and 2×3 the second comes into rows 2 and 3 and columns 1 to 3."""
    spec = (ConvLayer((1, 1), (1, 1), 1, ()), ConvLayer((1, 1), (4, 2), 1, ()))
    network = ConvChain().build(spec, SHAPE)
    seen = []
    network.pool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for layer in network.layers:
        torch.nn.init.ones_(layer[1].bias)
        torch.nn.init.zeros_(layer[1].weight)
    network(torch.randn(2, *SHAPE.input_shape))
    expected = torch.zeros(7, 6)
    expected[2:4, 1:4] = 1
    assert torch.equal(seen[0][0], torch.stack([torch.ones(7, 6), expected]))


def test_it_is_a_space_for_few_shots():
    space = ConvChain((1, 3), (3, 5), (2, 3), (1, 2), (2, 3))
    check_space(space, task=SHAPE, builds=10)
    check_treatable(space, TaskShape((1, 5, 6), 3))


def test_images_of_one_pixel_are_enough():
    spec = (ConvLayer((7, 7), (3, 3), 2, ()), ConvLayer((5, 3), (2, 2), 2, (0,)))
    assert ConvChain().build(spec, TaskShape((1, 1, 1), 4))(torch.rand(3, 1, 1, 1)).shape == (3, 4)


# --- the diagram -----------------------------------------------------------------------------------------------------


def same_network(one, other):
    """Whether some renaming of one's layers gives the other, by trying all; the order of channels means nothing."""
    return len(one) == len(other) and any(
        all(
            (layer.kernel, layer.stride, layer.filters) == (image.kernel, image.stride, image.filters)
            and {order[source] for source in layer.inputs} == set(image.inputs)
            for layer, image in zip(one, [other[place] for place in order], strict=True)
        )
        for order in itertools.permutations(range(len(one)))
    )


def test_diagrams_are_equal_exactly_where_networks_are():
    space = ConvChain((1, 3), (3,), (2,), (1,), (3, 4))
    rng = random.Random(0)
    specs = [replay(space, sample(space, rng)) for _ in range(120)]
    keys = [canonical(space.graph(spec)) for spec in specs]
    equal = 0
    for (one, key), (other, other_key) in itertools.combinations(zip(specs, keys, strict=True), 2):
        assert (key == other_key) == same_network(one, other), (one, other)
        equal += key == other_key and one != other
    assert equal > 10  # some are written differently


@pytest.mark.parametrize("change", [{"kernel": (3, 1)}, {"stride": (2, 1)}, {"filters": 3}, {"inputs": ()}], ids=str)
def test_everything_of_a_layer_is_in_the_diagram(change):
    layers = {"kernel": (1, 3), "stride": (1, 2), "filters": 2, "inputs": (0,)}
    first = ConvLayer((3, 3), (1, 1), 2, ())
    one, other = ((first, ConvLayer(**{**layers, **c})) for c in ({}, change))
    assert canonical(ConvChain().graph(one)) != canonical(ConvChain().graph(other))


def test_every_layer_is_on_a_path_from_the_image_to_the_head():
    space = ConvChain()
    rng = random.Random(1)
    for _ in range(50):
        spec = replay(space, sample(space, rng))
        diagram = space.graph(spec)
        assert set(live(diagram)) == set(diagram)
        assert nx.is_directed_acyclic_graph(diagram)
        assert sum(op.startswith("conv ") for _, op in diagram.nodes(data="op")) == len(spec)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["heights", "widths", "filters", "strides", "depths"])
@pytest.mark.parametrize("values", [(), (0, 3), (3, 3), (-1,)])
def test_options_that_make_no_network_are_refused(option, values):
    with pytest.raises(ConfigError, match=rf"conv-chain {option} = \[.*distinct whole numbers from 1"):
        ConvChain(**{option: values})


@pytest.mark.parametrize("option", ["heights", "widths"])
def test_even_filters_are_refused(option):
    with pytest.raises(ConfigError, match=rf"conv-chain {option} = \[1, 2\]; give odd numbers"):
        ConvChain(**{option: (1, 2)})


@pytest.mark.parametrize("shape", [(5,), (2, 28), (1, 2, 28, 28)])
def test_inputs_that_are_not_images_are_refused(shape):
    with pytest.raises(SpaceError, match=rf"conv-chain needs images.*this task's inputs are \({shape[0]}"):
        ConvChain().build((ConvLayer((1, 1), (1, 1), 2, ()),), TaskShape(shape, 5))
