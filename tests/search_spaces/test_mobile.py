"""`mobile`: the published count, networks against an independent slow version, and what is refused."""

import itertools
import random
from dataclasses import replace

import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from helpers.spaces import check_export, check_second_order, normalised, pixels, samples, shaken
from torch.nn import functional as F

from nas.errors import ConfigError, SpaceError
from nas.search_spaces import Mobile
from nas.search_spaces.mobile.spec import Bottleneck, MobileSpec
from nas.space import count, enumerate_all, num_options, replay, sample
from nas.space.graph import canonical
from nas.task import TaskShape

IMAGES = TaskShape((1, 28, 28), 5)
ONCE_FOR_ALL = Mobile(
    channels=(24, 40, 80, 112, 160),
    strides=(2, 2, 2, 1, 2),
    depths=(2, 3, 4),
    squeeze_excite=(False,),
    width_multipliers=(1.0,),
)


# --- counts ----------------------------------------------------------------------------------------------------------


def closed_form(space):
    """Each layer has its own kernel, expansion and gate; each stage any of the depths."""
    layer = len(space.kernels) * len(space.expansions) * len(space.squeeze_excite)
    stage = sum(layer**depth for depth in space.depths)
    return len(space.width_multipliers) * stage ** len(space.channels)


def test_with_the_options_of_once_for_all_it_has_the_published_number_of_architectures():
    """Section 3.2: ((3·3)² + (3·3)³ + (3·3)⁴)^5 ≈ 2 · 10^19."""
    assert closed_form(ONCE_FOR_ALL) == ((3 * 3) ** 2 + (3 * 3) ** 3 + (3 * 3) ** 4) ** 5 == 7371**5
    assert pytest.approx(2e19, rel=0.1) == 7371**5


@pytest.mark.parametrize(
    "space",
    [
        Mobile(
            channels=(8, 8), strides=(1, 2), depths=(1, 2), kernels=(3, 5), expansions=(3,), width_multipliers=(1.0,)
        ),
        Mobile(channels=(8,), strides=(2,), depths=(2, 1, 3), kernels=(3,), width_multipliers=(0.5, 2.0)),
    ],
)
def test_the_closed_form_counts_what_can_be_enumerated(space):
    assert count(space) == count(space, limit=closed_form(space))
    assert count(space).exact
    assert len(set(enumerate_all(space))) == count(space).value == closed_form(space)


@pytest.mark.parametrize("space", [Mobile(), ONCE_FOR_ALL])
def test_the_closed_form_is_within_the_estimate(space):
    """Depths weigh so differently that the estimate is rough, but not wide of the mark."""
    estimate = count(space, limit=100, samples=4000)
    low, high = estimate.interval
    assert high is not None
    assert low < closed_form(space) < high < 3 * low


def test_each_depth_opens_the_choices_of_its_layers():
    space = ONCE_FOR_ALL
    for seed in range(20):
        architecture = sample(space, random.Random(seed))
        depths = [space.depths[architecture.picks[f"stage{stage}.depth"]] for stage in range(5)]
        sizes = num_options(space, architecture)
        for stage, layer in itertools.product(range(5), range(4)):
            names = [f"stage{stage}.{layer}.{part}" for part in ("kernel", "expansion", "squeeze_excite")]
            expected = [3, 3, 1] if layer < depths[stage] else [None] * 3
            assert [sizes.get(name) for name in names] == expected
        layers = replay(space, architecture).layers
        assert [layer.channels for layer in layers] == [
            channels for channels, depth in zip(space.channels, depths, strict=True) for _ in range(depth)
        ]


def test_strides_come_first_in_a_stage_and_widths_are_multiples_of_4():
    space = Mobile(channels=(8, 12), strides=(1, 2), depths=(3,), width_multipliers=(0.1, 0.5, 1.0, 1.25))
    seen = set()
    for spec in samples(space, 60):
        assert [layer.stride for layer in spec.layers] == [1, 1, 1, 2, 1, 1]
        assert len({layer.channels for layer in spec.layers[:3]}) == 1
        seen.add((spec.stem, spec.layers[0].channels, spec.layers[-1].channels))
    assert seen == {(4, 4, 4), (4, 4, 8), (8, 8, 12), (8, 8, 16)}


# --- networks --------------------------------------------------------------------------------------------------------


def slow_point(x, weight, *, shift=None):
    y = torch.einsum("oi,nihw->nohw", weight[:, :, 0, 0], x)
    return y if shift is None else y + shift.view(1, -1, 1, 1)


def swish(x):
    return x / (1 + (-x).exp())


def slow_layer(layer, x, weights):
    kernel = next(weights)
    assert kernel.shape[0] == layer.expansion * x.shape[1]
    y = swish(normalised(slow_point(x, kernel), next(weights), next(weights)))
    kernel, side = next(weights), layer.kernel
    assert kernel.shape == (y.shape[1], 1, side, side)
    parts = [F.conv2d(y[:, [c]], kernel[[c]], padding=side // 2) for c in range(y.shape[1])]
    y = swish(normalised(pixels(torch.cat(parts, 1), layer.stride), next(weights), next(weights)))
    if layer.squeeze_excite:
        inside = slow_point(y.mean(dim=(2, 3), keepdim=True), next(weights), shift=next(weights)).clamp(min=0)
        assert inside.shape[1] == max(1, y.shape[1] // 4)
        y = y / (1 + (-slow_point(inside, next(weights), shift=next(weights))).exp())
    y = normalised(slow_point(y, next(weights)), next(weights), next(weights))
    return x + y if x.shape == y.shape and layer.stride == 1 else y


def slow_network(spec, network, x):
    weights = iter(network.parameters())
    y = pixels(F.conv2d(x, next(weights), padding=1), 2)
    y = swish(normalised(y, next(weights), next(weights)))
    for layer in spec.layers:
        y = slow_layer(layer, y, weights)
    y = swish(normalised(slow_point(y, next(weights)), next(weights), next(weights)))
    result = F.adaptive_avg_pool2d(y, 3).flatten(1) @ next(weights).T + next(weights)
    assert next(weights, None) is None
    return result


def test_networks_compute_what_their_spec_says():
    space, shape = Mobile(depths=(1, 2, 3)), TaskShape((2, 9, 12), 3)
    for spec in samples(space, 10):
        network = shaken(space.build(spec, shape))
        x = torch.rand(3, *shape.input_shape, dtype=torch.float64)
        assert torch.allclose(network(x), slow_network(spec, network, x), rtol=1e-7, atol=1e-8), spec


def test_source_of_their_networks_computes_the_same(tmp_path):
    space, gates = Mobile(), set()
    for spec in samples(space, 3):
        check_export(space.build(spec, IMAGES), IMAGES, tmp_path)
        gates |= {layer.squeeze_excite for layer in spec.layers}
    assert gates == {False, True}


def test_second_order_meta_gradients_are_those_of_a_plain_loop():
    check_second_order(Mobile(channels=(4, 8), strides=(1, 2)), seed=2)


# --- equality --------------------------------------------------------------------------------------------------------


def test_networks_that_differ_in_anything_have_keys_of_their_own():
    space = Mobile()
    layer = Bottleneck(channels=8, stride=1, kernel=3, expansion=3, squeeze_excite=False)
    changes = [{"channels": 12}, {"stride": 2}, {"kernel": 5}, {"expansion": 4}, {"squeeze_excite": True}]
    layers = [layer, *(replace(layer, **change) for change in changes)]
    specs = [MobileSpec(stem, pair) for stem in (8, 12) for pair in itertools.product(layers, repeat=2)]
    assert len({canonical(space.graph(spec)) for spec in specs}) == len(specs)


def test_where_a_stage_ends_does_not_tell_networks_apart():
    """Two stages without strides, of the same width: one layer and two are two and one."""
    space = Mobile(*((8, 8), (1, 1), (1, 2), (3,), (3,)), squeeze_excite=(False,), width_multipliers=(1.0,))
    specs = [replay(space, architecture) for architecture in enumerate_all(space)]
    assert len(specs) == 4
    assert len({canonical(space.graph(spec)) for spec in specs}) == len(set(specs)) == 3


def test_what_is_added_is_drawn():
    space = Mobile()
    layer = Bottleneck(channels=8, stride=1, kernel=3, expansion=3, squeeze_excite=False)
    diagram = space.graph(MobileSpec(4, (layer, layer, replace(layer, stride=2))))
    assert list(diagram.predecessors("layer1 sum")) == ["layer0", "layer1"]
    assert sum(op == "add" for _, op in diagram.nodes(data="op")) == 1


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (28, 28), (1, 2, 28, 28)])
def test_inputs_that_are_not_images_are_refused(shape):
    with pytest.raises(SpaceError, match=rf"mobile needs images .*inputs are \({shape[0]}"):
        Mobile().build(samples(Mobile(), 1)[0], TaskShape(shape, 5))


@pytest.mark.parametrize("strides, smallest", [((1, 1), 2), ((1, 2), 3), ((2, 2), 5)])
def test_images_that_would_be_halved_below_a_pixel_are_refused_and_no_others(strides, smallest):
    space = Mobile(channels=(4, 4), strides=strides)
    spec = samples(space, 1)[0]
    for shape in ((1, smallest, 28), (1, 28, smallest)):
        assert space.build(spec, TaskShape(shape, 5))(torch.rand(2, *shape)).shape == (2, 5)
    for shape in ((1, smallest - 1, 28), (1, 28, smallest - 1)):
        with pytest.raises(SpaceError, match=rf"mobile halves images .* need at least {smallest} pixels a side"):
            space.build(spec, TaskShape(shape, 5))


@pytest.mark.parametrize(
    "option, value, rule",
    [
        ("channels", (), "whole numbers from 1"),
        ("channels", (8, 0, 8), "0; it must be a whole number from 1"),
        ("channels", (8,) * 101, "one for each of 1 to 100 stages"),
        ("depths", (0, 1), "whole numbers from 1"),
        ("depths", (), "whole numbers from 1"),
        ("expansions", (3, 3), "distinct"),
        ("squeeze_excite", (), "at least one"),
        ("width_multipliers", (1.0, 1.0), "distinct"),
        ("width_multipliers", (0.0, 1.0), "above 0"),
        ("width_multipliers", (float("nan"),), "above 0"),
        ("kernels", (3, 4), "odd numbers"),
        ("strides", (1, 2), "for each of 3 stages"),
        ("strides", (1, 2, 3), "1 or 2"),
    ],
)
def test_options_that_make_no_network_are_refused(option, value, rule):
    Mobile(channels=(8, 8, 8))  # stages of the same width are allowed
    with pytest.raises(ConfigError, match=rf"mobile {option} = .*{rule}"):
        Mobile(**{option: value})
