"""The transformer: published counts and sizes, its networks against loops over tokens and heads, its diagram."""

import itertools
import math
import random

import networkx as nx
import numpy as np
import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from helpers.networks import check_treatable

from nas import registry
from nas.errors import ConfigError, SpaceError
from nas.search_spaces import Transformer
from nas.search_spaces.patches import Patches
from nas.search_spaces.transformer.spec import Encoder, EncoderLayer
from nas.space import count, enumerate_all, replay, sample
from nas.space.graph import canonical, live
from nas.task import TaskShape
from nas.testing import check_space

# Table 1 of AutoFormer.
AUTOFORMER = {
    "tiny": Transformer((192, 216, 240), (12, 13, 14), (3, 4), (3.5, 4.0), 64, 196),
    "small": Transformer((320, 384, 448), (12, 13, 14), (5, 6, 7), (3.0, 3.5, 4.0), 64, 196),
    "base": Transformer((528, 576, 624), (14, 15, 16), (8, 9, 10), (3.0, 3.5, 4.0), 64, 196),
}
SMALL = Transformer(widths=(3, 4), depths=(1, 2), heads=(1, 2), ratios=(0.5, 2), head_dim=3, max_tokens=4)
IMAGE, SERIES = TaskShape((2, 5, 4), 3), TaskShape((2, 7), 3)


# --- counts and sizes ------------------------------------------------------------------------------------------------


def closed_form(space):
    """The width once; heads and ratio of each layer that there is."""
    layer = len(space.heads) * len(space.ratios)
    return len(space.widths) * sum(layer**depth for depth in space.depths)


@pytest.mark.parametrize("space", [SMALL, Transformer(depths=(1, 2)), Transformer(widths=(8,))], ids=str)
def test_all_of_a_small_space_is_its_closed_form(space):
    found = count(space)
    assert found.exact
    assert found.value == closed_form(space)


def test_the_published_count():
    """Section 3.3: "more than 1.7 × 10^16", in all three. It is that where layers beyond the depth have choices too.

    These make no network of their own, so here they are not counted.
    """
    assert {name: closed_form(space) for name, space in AUTOFORMER.items()} == {
        "tiny": 3 * (4**12 + 4**13 + 4**14),
        "small": 3 * (9**12 + 9**13 + 9**14),
        "base": 3 * (9**14 + 9**15 + 9**16),
    }
    theirs = sum(
        len(space.widths) * len(space.depths) * (len(space.heads) * len(space.ratios)) ** max(space.depths)
        for space in AUTOFORMER.values()
    )
    assert theirs == 9 * (4**14 + 9**14 + 9**16) == pytest.approx(1.7e16, rel=0.01)
    assert sum(map(closed_form, AUTOFORMER.values())) == pytest.approx(6.3e15, rel=0.01)


@pytest.mark.parametrize("name", AUTOFORMER)
def test_the_estimate_agrees(name):
    estimate = count(AUTOFORMER[name], limit=10, samples=1000)
    low, high = estimate.interval
    assert high is not None
    assert low < closed_form(AUTOFORMER[name]) < high < 1.5 * low


@pytest.mark.parametrize("width, heads, published", [(192, 3, 5_717_416), (384, 6, 22_050_664)])
def test_published_sizes(width, heads, published):
    """DeiT-tiny and -small (arXiv 2012.12877, table 1: 5M and 22M) have a class token and its position besides."""
    spec = Encoder(width, (EncoderLayer(heads, 4 * width),) * 12)
    with torch.device("meta"):
        network = AUTOFORMER["tiny"].build(spec, TaskShape((3, 224, 224), 1000))
    assert sum(p.numel() for p in network.parameters()) + 2 * width == published


# --- the network -----------------------------------------------------------------------------------------------------


def slow_normalisation(x, scale, shift):
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * scale + shift


def slow_attention(tokens, weights, heads, dim):
    """One pair of tokens in one head at a time. Rows of the first matrix: queries, keys, values, each by head."""
    matrix, bias, out, out_bias = weights
    three = [(matrix @ token + bias).reshape(3, heads, dim) for token in tokens]
    results = []
    for query in three:
        mixed = []
        for head in range(heads):
            looks = [math.exp(sum(query[0, head] * key[1, head]) / math.sqrt(dim)) for key in three]
            mixed.append(sum(look * value[2, head] for look, value in zip(looks, three, strict=True)) / sum(looks))
        results.append(out @ np.concatenate(mixed) + out_bias)
    return results


def slow_patches(x, most):
    """The smallest squares, or pieces of a series, of which `most` cover x; zeros come first."""
    sizes = x.shape[1:]
    side = next(s for s in range(1, 100) if math.prod(math.ceil(n / s) for n in sizes) <= most)
    sides = [min(side, n) for n in sizes]
    padded = np.pad(x, [(0, 0), *((-n % s, 0) for n, s in zip(sizes, sides, strict=True))])
    starts = itertools.product(*(range(0, n, s) for n, s in zip(padded.shape[1:], sides, strict=True)))
    cuts = ([slice(start, start + s) for start, s in zip(place, sides, strict=True)] for place in starts)
    return [padded[(slice(None), *cut)].flatten() for cut in cuts]


def slow_network(spec, space, parameters, x):
    """One example."""
    w = iter(parameters)
    position, matrix, bias = next(w), next(w), next(w)
    tokens = [
        matrix @ patch + bias + place for patch, place in zip(slow_patches(x, space.max_tokens), position, strict=True)
    ]
    for layer in spec.layers:
        scale, shift = next(w), next(w)
        normal = [slow_normalisation(token, scale, shift) for token in tokens]
        changes = slow_attention(normal, [next(w) for _ in range(4)], layer.heads, space.head_dim)
        tokens = [token + change for token, change in zip(tokens, changes, strict=True)]
        scale, shift, up, up_bias, down, down_bias = (next(w) for _ in range(6))
        for place, token in enumerate(tokens):
            inner = up @ slow_normalisation(token, scale, shift) + up_bias
            assert len(inner) == layer.hidden
            inner = np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in inner])
            tokens[place] = token + down @ inner + down_bias
    scale, shift = next(w), next(w)
    mean = sum(slow_normalisation(token, scale, shift) for token in tokens) / len(tokens)
    return next(w) @ mean + next(w)


@pytest.mark.parametrize("shape", [IMAGE, SERIES, TaskShape((1, 1), 2)], ids=["image", "series", "one value"])
def test_networks_compute_what_their_spec_says(shape):
    rng = random.Random(0)
    for _ in range(12):
        spec = replay(SMALL, sample(SMALL, rng))
        network = SMALL.build(spec, shape).double()
        for p in network.parameters():
            p.data += 0.3 * torch.randn_like(p)
        x = torch.randn(2, *shape.input_shape, dtype=torch.float64)
        parameters = [p.detach().numpy() for p in network.parameters()]
        expected = [slow_network(spec, SMALL, parameters, example) for example in x.numpy()]
        assert np.allclose(network(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9), spec


@pytest.mark.parametrize(
    "sizes, count, side",
    [((28, 28), 16, 7), ((84, 84), 16, 21), ((32, 32), 16, 8), ((30, 20), 15, 7), ((4, 100), 15, 7), ((3, 2), 6, 1)],
)
def test_images_are_cut_into_the_smallest_squares(sizes, count, side):
    patches = Patches((3, *sizes), 16)
    assert (patches.count, patches.sides) == (count, [min(side, size) for size in sizes])
    x = torch.rand(2, 3, *sizes)
    assert patches(x).shape == (2, count, patches.numbers)
    expected = [[torch.tensor(patch) for patch in slow_patches(example, 16)] for example in x.numpy()]
    assert torch.equal(patches(x), torch.stack([torch.stack(patch) for patch in expected]))


@pytest.mark.parametrize("shape", [IMAGE, SERIES], ids=["image", "series"])
def test_it_is_a_space_for_few_shots(shape):
    check_space(SMALL, task=shape, builds=10)
    check_treatable(SMALL, shape)


def test_order_matters():
    """Without positions the mean of the tokens would be the same for a series turned round."""
    spec = Encoder(8, (EncoderLayer(2, 8),))
    network = Transformer().build(spec, TaskShape((1, 16), 3))
    x = torch.rand(1, 1, 16)
    assert not torch.allclose(network(x), network(x.flip(-1)), atol=1e-5)
    torch.nn.init.zeros_(network.position)
    assert torch.allclose(network(x), network(x.flip(-1)), atol=1e-5)


# --- the diagram -----------------------------------------------------------------------------------------------------


def test_every_architecture_has_a_diagram_of_its_own():
    specs = {replay(SMALL, architecture) for architecture in enumerate_all(SMALL)}
    assert len(specs) == closed_form(SMALL)
    diagrams = [SMALL.graph(spec) for spec in specs]
    assert len({canonical(diagram) for diagram in diagrams}) == len(specs)
    assert all(set(live(diagram)) == set(diagram) for diagram in diagrams)
    wider = Transformer(head_dim=4)
    spec = next(iter(specs))
    assert canonical(wider.graph(spec)) != canonical(SMALL.graph(spec))


def test_the_diagram_adds_what_the_network_adds():
    """With all parts as numbers: t + a(t), then + f of that."""
    diagram = SMALL.graph(Encoder(4, (EncoderLayer(2, 8), EncoderLayer(1, 4))))
    parts = {"attention 2×3": lambda t: 3 * t, "feed-forward 8": lambda t: t * t}
    parts |= {"attention 1×3": lambda t: t + 1, "feed-forward 4": lambda t: 5 * t}
    values = {}
    for node in nx.topological_sort(diagram):
        given = sum(values[before] for before in diagram.predecessors(node))
        values[node] = 1 if node == "patches" else parts.get(diagram.nodes[node]["op"], lambda t: t)(given)
    t = 1 + 3
    t = t + t * t
    t = t + (t + 1)
    assert values["tokens"] == t + 5 * t


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["widths", "depths", "heads"])
@pytest.mark.parametrize("values", [(), (0, 3), (3, 3), (-1,)])
def test_options_that_make_no_network_are_refused(option, values):
    with pytest.raises(ConfigError, match=rf"transformer {option} = \[.*distinct whole numbers from 1"):
        Transformer(**{option: values})


@pytest.mark.parametrize("values", [(), (0.0, 3.0), (3.0, 3.0), (-1.0,), (math.nan,), (math.inf,), (65.0,)])
def test_ratios_that_make_no_network_are_refused(values):
    with pytest.raises(ConfigError, match=r"transformer ratios = \[.*distinct numbers above 0 and at most 64"):
        Transformer(ratios=values)


@pytest.mark.parametrize("option", ["head_dim", "max_tokens"])
def test_a_transformer_without_heads_or_tokens_is_refused(option):
    with pytest.raises(ConfigError, match=f"transformer {option} = 0; it must be a whole number from 1"):
        Transformer(**{option: 0})


def test_whole_ratios_may_be_given_in_a_config():
    assert registry.create("space", "transformer", {"ratios": [1, 2.5]}).ratios == (1, 2.5)


@pytest.mark.parametrize("shape", [(5,), (1, 2, 28, 28)])
def test_inputs_that_are_neither_images_nor_series_are_refused(shape):
    with pytest.raises(SpaceError, match=rf"transformer needs images.*this task's inputs are \({shape[0]}"):
        SMALL.build(Encoder(3, (EncoderLayer(1, 2),)), TaskShape(shape, 5))
