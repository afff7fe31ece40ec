"""`darts` and `nasnet`: published counts, networks against an independent slow version, and which are the same."""

import itertools
import math
import random

import networkx as nx
import pytest
import torch
from helpers.evaluators import seeded, weights_of  # noqa: F401  # fixture
from helpers.spaces import average, check_export, check_second_order, largest, normalised, pixels, samples, shaken
from torch.nn import functional as F

from nas.errors import ConfigError, SpaceError
from nas.evaluators.learners import Anil
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.tasks import Glyphs
from nas.search_spaces import Darts, NasNet
from nas.search_spaces.cell_pairs import darts, nasnet
from nas.search_spaces.cell_pairs import spec as cell_pair_specs
from nas.search_spaces.cell_pairs.spec import Block, Cell, CellPair
from nas.space import count, enumerate_all, num_options, replay, sample
from nas.space.graph import canonical, live
from nas.task import TaskShape

SPACES = {"darts": Darts, "nasnet": NasNet}
IMAGES = TaskShape((1, 28, 28), 5)


@pytest.fixture(params=SPACES)
def space_type(request):
    return SPACES[request.param]


# --- counts ----------------------------------------------------------------------------------------------------------


def size(space):
    """The number of architectures of a space whose choices always have the same options."""
    rng = random.Random(0)
    sizes = [num_options(space, sample(space, rng)) for _ in range(50)]
    assert all(options == sizes[0] for options in sizes)
    return math.prod(sizes[0].values())


def test_darts_has_the_published_number_of_architectures():
    """Appendix C: prod over k = 1 … 4 of (k + 1) k / 2 · 7² for each of two cells."""
    cell = math.prod((k + 1) * k // 2 * 7**2 for k in range(1, 5))
    assert cell == 1_037_664_180
    assert size(Darts()) == cell**2
    assert count(Darts(), limit=100, samples=100).value == pytest.approx(cell**2, rel=1e-12)


def test_nasnet_has_the_published_number_of_cells_for_each_choice_of_joins():
    """Radosavovic et al., table 1: 71,465,842 · 10^9 cells without joins to choose."""
    cell = math.prod((k + 1) ** 2 * 13**2 for k in range(1, 6))
    assert round(cell / 1e9) == 71_465_842
    assert size(NasNet()) == (2**5 * cell) ** 2
    assert count(NasNet(), limit=100, samples=100).value == pytest.approx((2**5 * cell) ** 2, rel=1e-12)


@pytest.mark.parametrize(
    "module, space, nodes, cells",
    [(darts, Darts(), "NUM_NODES", 1 * 2**2 * 3 * 2**2), (nasnet, NasNet(), "NUM_BLOCKS", 2**2 * 2**2 * 2)],
)
def test_no_two_choices_give_the_same_spec(module, space, nodes, cells, monkeypatch):
    """Of smaller cells, which can be enumerated: every pair of two cells once."""
    monkeypatch.setattr(module, "OPERATIONS", module.OPERATIONS[:2])
    monkeypatch.setattr(module, nodes, 2 if module is darts else 1)
    specs = {replay(space, architecture) for architecture in enumerate_all(space)}
    assert len(specs) == count(space).value == cells**2


def test_the_operations_are_the_papers():
    assert len(darts.OPERATIONS) == 7
    assert len(nasnet.OPERATIONS) == 13
    assert set(darts.OPERATIONS) - set(nasnet.OPERATIONS) == {"dil_conv_5x5"}


def test_sampled_cells_are_those_of_the_papers():
    for spec in samples(Darts(), 100):
        for cell in (spec.normal, spec.reduction):
            assert cell.output == (2, 3, 4, 5)
            assert all(0 <= b.inputs[0] < b.inputs[1] < 2 + i and b.join == "add" for i, b in enumerate(cell.blocks))
    for spec in samples(NasNet(), 100):
        for cell in (spec.normal, spec.reduction):
            assert len(cell.blocks) == 5
            read = {state for block in cell.blocks for state in block.inputs}
            assert set(cell.output) == {2, 3, 4, 5, 6} - read
            assert all(max(b.inputs) < 2 + i for i, b in enumerate(cell.blocks))


# --- networks --------------------------------------------------------------------------------------------------------


def slow_operation(name, x, stride, weights):
    """By its definition: everything at stride 1, of which the pixels are then taken. Weights come from an iterator."""
    channels = x.shape[1]
    if name == "skip_connect":
        return x if stride == 1 else slow_halved(x, weights)
    kind, side = name[:-4], int(name[-1])
    if kind in ("avg_pool", "max_pool"):
        return pixels({"avg_pool": average, "max_pool": largest}[kind](x, side), stride)
    if kind == "sep_conv":
        for step in (stride, 1):
            x = slow_depthwise(x, side, 1, step, weights)
        return x
    if kind == "dil_conv":
        return slow_depthwise(x, side, 2, stride, weights)
    kernels = [(side, side)] if kind == "conv" else [(1, side), (side, 1)]
    for kernel, step in zip(kernels, (stride, 1), strict=False):
        weight = next(weights)
        assert weight.shape == (channels, channels, *kernel)
        y = pixels(F.conv2d(x.relu(), weight, padding=(kernel[0] // 2, kernel[1] // 2)), step)
        x = normalised(y, next(weights), next(weights))
    return x


def slow_depthwise(x, side, dilation, stride, weights):
    """Channel by channel."""
    kernel, point = next(weights), next(weights)
    assert kernel.shape == (x.shape[1], 1, side, side)
    reach = dilation * (side // 2)
    parts = [F.conv2d(x[:, [c]].relu(), kernel[[c]], padding=reach, dilation=dilation) for c in range(x.shape[1])]
    y = torch.einsum("oi,nihw->nohw", point[:, :, 0, 0], pixels(torch.cat(parts, 1), stride))
    return normalised(y, next(weights), next(weights))


def slow_point(x, weights):
    y = torch.einsum("oi,nihw->nohw", next(weights)[:, :, 0, 0], x.relu())
    return normalised(y, next(weights), next(weights))


def slow_halved(x, weights):
    """Half of the channels from pixels in even places, half from those in odd places, zero where there are none."""
    x = F.pad(x.relu(), (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    parts = [torch.einsum("oi,nihw->nohw", next(weights)[:, :, 0, 0], x[..., i::2, i::2]) for i in (0, 1)]
    return normalised(torch.cat(parts, 1), next(weights), next(weights))


def slow_cell(cell, states, reduction, weights):
    """`states` are the two inputs, as wide and as large as the cell; None for one that it does not read."""
    states = list(states)
    for block in cell.blocks:
        x, y = (
            slow_operation(op, states[state], 2 if reduction and state < 2 else 1, weights)
            for state, op in zip(block.inputs, block.operations, strict=True)
        )
        states.append(x + y if block.join == "add" else slow_point(torch.cat([x, y], 1), weights))
    return torch.cat([states[state] for state in cell.output], 1)


def slow_network(spec, space, network, x):
    weights = iter(network.parameters())
    stem = normalised(pixels(F.conv2d(x, next(weights), padding=1), 2), next(weights), next(weights))
    outputs = [stem, stem]
    kinds = "n" * space.normal_cells + ("r" + "n" * space.normal_cells) * space.reductions
    cells = [spec.reduction if kind == "r" else spec.normal for kind in kinds]
    depends = nx.DiGraph((i + s, i + 2) for i, cell in enumerate(cells) for s in (0, 1) if cell.reads(s))
    used = nx.ancestors(depends, len(cells) + 1) | {len(cells) + 1}
    for i, (kind, cell) in enumerate(zip(kinds, cells, strict=True)):
        if i + 2 not in used:
            outputs.append(None)
            continue
        states = []
        for s in (0, 1):
            halve = s == 0 and i > 0 and kinds[i - 1] == "r"
            states.append((slow_halved if halve else slow_point)(outputs[i + s], weights) if cell.reads(s) else None)
            assert states[-1] is None or states[-1].shape[1] == space.width * 2 ** kinds[: i + 1].count("r")
        outputs.append(slow_cell(cell, states, kind == "r", weights))
    features = outputs[-1].relu().mean(dim=(2, 3))
    result = features @ next(weights).T + next(weights)
    assert next(weights, None) is None
    return result


@pytest.mark.parametrize("options", [{}, {"normal_cells": 2}, {"reductions": 2, "width": 3}])
def test_networks_compute_what_their_spec_says(space_type, options):
    space, shape = space_type(**{"width": 2, **options}), TaskShape((2, 9, 12), 3)
    for spec in samples(space, 6, seed=1):
        network = shaken(space.build(spec, shape))
        x = torch.rand(3, *shape.input_shape, dtype=torch.float64)
        assert torch.allclose(network(x), slow_network(spec, space, network, x), rtol=1e-7, atol=1e-8), spec


@pytest.mark.parametrize("name", sorted({*darts.OPERATIONS, *nasnet.OPERATIONS}))
@pytest.mark.parametrize("height", [4, 5])
def test_every_operation_at_both_strides(name, height):
    from nas.search_spaces.cell_pairs.network import operation

    for stride in (1, 2):
        layer = shaken(operation(name, 3, stride))
        x = torch.randn(4, 3, height, 7, dtype=torch.float64)
        weights = iter(layer.parameters())
        slow = slow_operation(name, x, stride, weights)
        assert slow.shape == (4, 3, -(-height // stride), -(-7 // stride))
        assert torch.allclose(layer(x), slow, rtol=1e-7, atol=1e-8)
        assert next(weights, None) is None


def one_sided(state, operation="sep_conv_3x3"):
    """A cell of NASNet that reads only one of its inputs."""
    first = Block((state, state), (operation, "max_pool_3x3"))
    return Cell((first, *(Block((2, 2 + i), ("skip_connect", operation)) for i in range(4))), (6,))


def test_cells_that_nothing_reads_are_left_out():
    """The last normal cell reads the first one and not the reduction between them."""
    space = NasNet(width=4)
    pair = CellPair(one_sided(0), samples(space, 1)[0].reduction)
    network = space.build(pair, IMAGES)
    assert list(network.cells) == ["cell0", "cell2"]
    network(torch.rand(8, 1, 28, 28)).square().sum().backward()
    assert all(p.grad.any() for p in network.parameters())
    other = CellPair(pair.normal, one_sided(1, "conv_1x1"))
    assert canonical(space.graph(pair)) == canonical(space.graph(other))
    assert not any(node.startswith("reduction") for node in space.graph(pair))
    longer = NasNet(width=4, normal_cells=2)
    assert canonical(longer.graph(pair)) != canonical(longer.graph(other))


def test_source_of_their_networks_computes_the_same(space_type, tmp_path):
    space, used = space_type(width=4), set()
    for spec in samples(space, 4):
        check_export(space.build(spec, IMAGES), IMAGES, tmp_path)
        used |= {op for cell in (spec.normal, spec.reduction) for block in cell.blocks for op in block.operations}
    assert used == set((darts if space_type is Darts else nasnet).OPERATIONS)


def test_second_order_meta_gradients_are_those_of_a_plain_loop(space_type):
    check_second_order(space_type(width=4))


def test_inner_steps_at_the_quick_starts_rate_do_not_overshoot(space_type):
    """Of untrained networks: after adaptation the queries' loss is about that of guessing, or better."""
    space, family, learner = space_type(), Glyphs(queries=5), Anil(inner_lr=0.1, steps=5)
    batch = family.tasks("train", range(4), torch.device("cpu"))
    for seed in range(2):
        architecture = sample(space, random.Random(seed))
        network = build(space, architecture, family.shape, Normalisation(), learner=learner, seed=seed)
        loss, _ = learner.meta_gradient(network, weights_of(network), batch, "classification")
        assert loss < math.log(5) + 0.1


# --- equality --------------------------------------------------------------------------------------------------------


def cell_of(*parts, output=(2, 3, 4, 5)):
    return Cell(tuple(Block(*part) for part in parts), output)


ONE = cell_of(
    ((0, 1), ("sep_conv_3x3", "max_pool_3x3")),
    ((0, 1), ("skip_connect", "sep_conv_5x5")),
    ((0, 2), ("dil_conv_3x3", "skip_connect")),
    ((1, 3), ("sep_conv_3x3", "avg_pool_3x3")),
)
RENUMBERED = cell_of(
    ((0, 1), ("skip_connect", "sep_conv_5x5")),
    ((0, 1), ("sep_conv_3x3", "max_pool_3x3")),
    ((1, 2), ("sep_conv_3x3", "avg_pool_3x3")),
    ((0, 3), ("dil_conv_3x3", "skip_connect")),
)
OTHER_INPUT = cell_of(
    ((0, 1), ("max_pool_3x3", "sep_conv_3x3")),
    ((0, 1), ("skip_connect", "sep_conv_5x5")),
    ((0, 2), ("dil_conv_3x3", "skip_connect")),
    ((1, 3), ("sep_conv_3x3", "avg_pool_3x3")),
)


def key(normal, reduction, space=None):
    return canonical((space or Darts()).graph(CellPair(normal, reduction)))


def test_the_same_cells_written_differently_are_recognised():
    assert key(ONE, ONE) == key(RENUMBERED, ONE) == key(ONE, RENUMBERED)


def test_inputs_cells_and_joins_are_told_apart():
    assert len({key(ONE, ONE), key(OTHER_INPUT, ONE), key(ONE, OTHER_INPUT), key(OTHER_INPUT, OTHER_INPUT)}) == 4
    keys = set()
    for join, ops in itertools.product(("add", "concat"), (("conv_1x1", "conv_3x3"), ("conv_3x3", "conv_1x1"))):
        first = Block((0, 1), ops, join)
        swapped = Block((1, 0), ops[::-1], join)
        one, other = (Cell((b, Block((2, 2), ("skip_connect", "conv_1x1"), join)), (3,)) for b in (first, swapped))
        assert key(one, one, NasNet()) == key(other, one, NasNet())
        keys.add(key(one, one, NasNet()))
    assert len(keys) == 4


def test_an_identity_is_none_where_it_has_a_stride():
    """In the normal cell skip adds its input. In the reduction cell it has weights of its own, but not after a node."""
    space = Darts()
    ops = {node: data["op"] for node, data in live(space.graph(CellPair(ONE, ONE))).nodes(data=True)}
    assert [ops["normal block 1.0"], ops["normal block 2.1"]] == ["skip", "skip"]
    assert [ops["reduction block 1.0"], ops["reduction block 2.1"]] == ["factorized_reduce", "skip"]


def test_keys_agree_with_networkx_where_nothing_is_contracted(monkeypatch):
    """An independent test of isomorphism, of diagrams made anew: one operation a node, nodes and ends told apart."""
    monkeypatch.setattr(darts, "OPERATIONS", ("sep_conv_3x3", "dil_conv_3x3"))
    monkeypatch.setattr(darts, "NUM_NODES", 3)
    drawn = [spec.normal for spec in samples(Darts(), 60)]
    keys = [key(cell, drawn[0]) for cell in drawn]
    diagrams = [plain_diagram(cell) for cell in drawn]
    same = [[keys[i] == keys[j] for j in range(60)] for i in range(60)]
    match = nx.algorithms.isomorphism.categorical_node_match("label", None)
    assert same == [[nx.is_isomorphic(a, b, node_match=match) for b in diagrams] for a in diagrams]
    assert 60 < sum(map(sum, same)) < 3600


def plain_diagram(cell):
    diagram = nx.DiGraph()
    diagram.add_nodes_from([(0, {"label": "first"}), (1, {"label": "second"})])
    for state, block in enumerate(cell.blocks, 2):
        diagram.add_node(state, label="node")
        for side, source in enumerate(block.inputs):
            diagram.add_node((state, side), label=block.operations[side])
            diagram.add_edges_from([(source, (state, side)), ((state, side), state)])
    return diagram


def test_keys_agree_with_every_renumbering_where_identities_are_contracted(monkeypatch):
    """Of cells of three nodes, by brute force: what each node adds up, under all orders of nodes and of their sides."""
    monkeypatch.setattr(darts, "OPERATIONS", ("skip_connect", "sep_conv_3x3"))
    monkeypatch.setattr(darts, "NUM_NODES", 3)
    drawn = [spec.normal for spec in samples(Darts(), 300)]
    keys = [key(cell, drawn[0]) for cell in drawn]
    written = [str(min(renumbered(cell))) for cell in drawn]
    both = set(zip(keys, written, strict=True))
    assert len(both) == len(set(keys)) == len(set(written)) < len(set(drawn))


def renumbered(cell):
    """What the cell computes, once for each way to number nodes and sides: the terms that each node adds up (an input,
    or a convolution by the number of its node and side), and what each convolution reads."""
    for order in itertools.permutations((2, 3, 4)):
        name = {0: 0, 1: 1, **dict(zip((2, 3, 4), order, strict=True))}
        for swaps in itertools.product((0, 1), repeat=3):
            terms, reads = {0: [(0, 0)], 1: [(1, 0)]}, []
            for state, (block, swap) in enumerate(zip(cell.blocks, swaps, strict=True), 2):
                terms[state] = []
                for side, (source, op) in enumerate(zip(block.inputs, block.operations, strict=True)):
                    if op == "skip_connect":
                        terms[state] += terms[source]
                    else:
                        terms[state].append((name[state], side ^ swap))
                        reads.append((name[state], side ^ swap, name[source]))
            yield sorted((name[state], *sorted(terms[state])) for state in (2, 3, 4)), sorted(reads)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (28, 28), (1, 2, 28, 28)])
def test_inputs_that_are_not_images_are_refused(space_type, shape):
    space = space_type()
    with pytest.raises(SpaceError, match=rf"{space.name} needs images .*inputs are \({shape[0]}"):
        space.build(samples(space, 1)[0], TaskShape(shape, 5))


@pytest.mark.parametrize("reductions, smallest", [(1, 3), (2, 5), (3, 9)])
def test_images_that_would_be_halved_below_a_pixel_are_refused_and_no_others(space_type, reductions, smallest):
    space = space_type(width=2, reductions=reductions)
    spec = samples(space, 1)[0]
    for shape in ((1, smallest, 28), (1, 28, smallest)):
        assert space.build(spec, TaskShape(shape, 5))(torch.rand(2, *shape)).shape == (2, 5)
    for shape in ((1, smallest - 1, 28), (1, 28, smallest - 1)):
        message = rf"halves images {reductions + 1} times, and those of .* need at least {smallest} pixels a side"
        with pytest.raises(SpaceError, match=message):
            space.build(spec, TaskShape(shape, 5))


@pytest.mark.parametrize("option, value", [("width", 1), ("normal_cells", 0), ("reductions", 0)])
def test_options_that_make_no_network_are_refused(space_type, option, value):
    with pytest.raises(ConfigError, match=rf"{space_type.name} {option} = {value}; .* a whole number from {value + 1}"):
        space_type(**{option: value})


def test_an_unknown_operation_is_refused():
    from nas.search_spaces.cell_pairs.network import operation

    with pytest.raises(ValueError, match="'lstm_3x3' is no operation"):
        operation("lstm_3x3", 4, 1)
    assert cell_pair_specs.SKIP in darts.OPERATIONS
