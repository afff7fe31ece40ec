"""Search spaces: the laws of all, and the networks of few-shot-cell and the baselines against slow versions."""

import itertools
import random
from collections import Counter
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from helpers.project import python
from helpers.spaces import normalised
from torch.nn import functional as F

from nas import registry
from nas.errors import ConfigError, Rejected, SpaceError
from nas.export import form_of
from nas.search_spaces import FewShotCell
from nas.search_spaces.dense_cell import EDGES
from nas.search_spaces.few_shot_cell.network import CellNetwork
from nas.search_spaces.few_shot_cell.spec import OPERATIONS, CellStack
from nas.space import count, decide, replay, sample
from nas.space.graph import canonical
from nas.task import TaskShape
from nas.testing import check_networks, check_space

IMAGES = TaskShape((1, 28, 28), 5)
NUMBERS = TaskShape((1,), 1, "regression")
SERIES = TaskShape((2, 16), 3)
SMALL = TaskShape((2, 8, 8), 3)


def fitting(name):
    return {"mlp": NUMBERS, "mlp40": NUMBERS, "recurrent-cell": SERIES}.get(name, IMAGES)


# --- all spaces ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry.names("space"))
def test_it_keeps_the_laws_of_spaces(name):
    check_space(registry.create("space", name, {}), task=fitting(name))
    check_networks(registry.create("space", name, {}), fitting(name), builds=5)


@pytest.mark.parametrize("name", registry.names("space"))
def test_its_networks_are_exported_as_source_of_layers(name):
    space = registry.create("space", name, {})
    for seed in range(2):
        network = space.build(replay(space, sample(space, random.Random(seed))), fitting(name))
        form = form_of(network, fitting(name).input_shape)
        assert form.file == "model.py", form.why
        assert "torch.ops" not in form.source.text


@pytest.mark.parametrize("name", registry.names("space"))
def test_every_parameter_has_a_use(name):
    """Each gets a gradient from random inputs, so that none is counted, stored and trained for nothing."""
    space, shape = registry.create("space", name, {}), fitting(name)
    rng = random.Random(1)
    for architecture in {sample(space, rng) for _ in range(12)}:
        idle: set[str] | None = None
        for _ in range(3):  # a ReLU of few channels may be dead by chance
            network = space.build(replay(space, architecture), shape)
            network(torch.rand(16, *shape.input_shape)).square().sum().backward()
            dead = {key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()}
            idle = dead if idle is None else idle & dead
        assert not idle, replay(space, architecture)


@pytest.mark.parametrize("name", registry.names("space"))
def test_no_running_statistics(name):
    space = registry.create("space", name, {})
    network = space.build(replay(space, sample(space, random.Random(2))), fitting(name))
    assert list(network.buffers()) == []


@pytest.mark.parametrize("name", ["few-shot-cell", "conv4", "nas-bench-101", "nas-bench-201"])
@pytest.mark.parametrize("shape", [(5,), (28, 28), (1, 2, 28, 28)])
def test_inputs_that_are_not_images_are_refused(name, shape):
    space = registry.create("space", name, {})
    spec = replay(space, sample(space, random.Random(0)))
    with pytest.raises(SpaceError, match=rf"{name} needs images.*this task's inputs are \({shape[0]}"):
        space.build(spec, TaskShape(shape, 5))


def test_a_space_decides_without_importing_torch_or_networkx(tmp_path):
    """The controllers' process only decides, and both libraries take a second to import."""
    script = (
        "import random, sys\n"
        "from nas import registry\n"
        "from nas.space import replay, sample\n"
        "for name in registry.names('space'):\n"
        "    space = registry.create('space', name, {})\n"
        "    replay(space, sample(space, random.Random(0)))\n"
        "print(sorted({'torch', 'networkx', 'nni'} & sys.modules.keys()))\n"
    )
    assert python(["-c", script], tmp_path) == "[]\n"


# --- baselines and the multilayer perceptron -------------------------------------------------------------------------


def average(x):
    """Of the 3×3 neighbours that there are."""
    ones = torch.ones_like(x[:1, :1])
    kernel = torch.ones(1, 1, 3, 3, dtype=x.dtype)
    sums = F.conv2d(x.flatten(0, 1)[:, None], kernel, padding=1).view_as(x)
    return sums / F.conv2d(ones, kernel, padding=1)


def largest(x):
    """Of the 3×3 neighbours that there are."""
    padded = F.pad(x, (1, 1, 1, 1), value=-torch.inf)
    height, width = x.shape[2:]
    return torch.stack([padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]).amax(dim=0)


def slow_operation(name, x, weights):
    """One edge, with its parameters taken from an iterator."""
    if name in ("skip", "avg_pool", "max_pool"):
        return {"skip": lambda x: x, "avg_pool": average, "max_pool": largest}[name](x)
    if name == "sep3":
        x = F.conv2d(x, next(weights), padding=1, groups=x.shape[1])
    options = {"conv3": {"padding": 1}, "dil3": {"padding": 2, "dilation": 2}}.get(name, {})
    return normalised(F.conv2d(x, next(weights), **options), next(weights), next(weights)).relu()


def slow_network(spec, network, x):
    """The network by its definition, recursively: a node is the sum of its edges that lead from the input.

    Only edges on a path from input to output have parameters; the graph's simple paths say which those are.
    """
    named = {edge: name for edge, name in zip(EDGES, spec.cell, strict=True) if name != "none"}
    paths = nx.all_simple_edge_paths(nx.DiGraph(list(named)), 0, 3)
    live = {edge for path in paths for edge in path}
    kernel, scale, shift = network.stem.parameters()
    y = normalised(F.conv2d(x, kernel, stride=2, padding=1), scale, shift).relu()
    for index in range(spec.num_cells):
        cell = network.cells[index + sum(r < index for r in spec.reductions)]
        own = {edge: list(cell.operations[f"edge{edge[0]}_{edge[1]}"].parameters()) for edge in live}
        assert sum(map(len, own.values())) == len(list(cell.parameters()))

        def node(target, y=y, own=own):
            if target == 0:
                return y
            return sum(
                slow_operation(named[edge], node(edge[0]), iter(own[edge])) for edge in live if edge[1] == target
            )

        y = node(3)
        if index in spec.reductions:
            height, width = y.shape[2] // 2, y.shape[3] // 2
            y = y[..., : 2 * height, : 2 * width].unflatten(3, (width, 2)).unflatten(2, (height, 2)).amax(dim=(3, 5))
    return network.head(F.adaptive_avg_pool2d(y, 3).flatten(1))


def test_networks_compute_the_graph_that_their_spec_says():
    space = FewShotCell(widths=(2, 3), depths=(1, 2, 3))
    rng = random.Random(0)
    shape = TaskShape((2, 9, 12), 3)
    for _ in range(40):
        spec = replay(space, sample(space, rng))
        network = space.build(spec, shape).double()
        for p in network.parameters():
            p.data += 0.1 * torch.randn_like(p)
        x = torch.rand(3, *shape.input_shape, dtype=torch.float64)
        assert torch.allclose(network(x), slow_network(spec, network, x), rtol=1e-7, atol=1e-9), spec


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"none"}))
def test_every_operation_of_a_cell(operation):
    spec = CellStack(("none", "none", "none", operation, "none", "none"), 3, 1, (0,))
    network = CellNetwork(spec, EDGES, SMALL).double()
    x = torch.rand(3, *SMALL.input_shape, dtype=torch.float64)
    assert torch.allclose(network(x), slow_network(spec, network, x), rtol=1e-7, atol=1e-9)


def test_edges_that_lead_nowhere_hold_no_weights():
    # 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
    only_skip = CellStack(("conv3", "conv3", "conv3", "skip", "none", "none"), 4, 1, (0,))
    never_reached = CellStack(("none", "none", "conv3", "skip", "conv3", "conv3"), 4, 1, (0,))
    for spec in (only_skip, never_reached):
        network = CellNetwork(spec, EDGES, SMALL)
        assert list(network.cells.parameters()) == []
        assert network(torch.rand(2, *SMALL.input_shape)).shape == (2, 3)


def test_reductions_halve_after_their_cells():
    spec = CellStack(("skip",) * 6, 2, 3, (0, 2))
    kinds = [type(layer).__name__ for layer in CellNetwork(spec, EDGES, IMAGES).cells]
    assert kinds == ["Cell", "MaxPool2d", "Cell", "Cell", "MaxPool2d"]


def connected(cell):
    graph = nx.DiGraph([edge for edge, name in zip(EDGES, cell, strict=True) if name != "none"])
    return 0 in graph and 3 in graph and nx.has_path(graph, 0, 3)


def picked(cell):
    """A `pick` that makes the choices of a cell, and takes the first option of all others."""
    options = dict(zip([f"edge{s}-{t}" for s, t in EDGES], cell, strict=True))
    return lambda name, _: OPERATIONS.index(options[name]) if name in options else 0


def test_exactly_the_cells_without_a_path_are_rejected():
    """Which cells are allowed hangs on where `none` is alone, so each of the 64 places stands for 7^k cells."""
    allowed = 0
    for kept in itertools.product((False, True), repeat=6):
        cell = tuple("conv3" if keep else "none" for keep in kept)
        try:
            spec, _ = decide(FewShotCell(), picked(cell))
        except Rejected:
            assert not connected(cell)
        else:
            assert connected(cell)
            assert spec.cell == cell
            allowed += 7 ** sum(kept)
    assert allowed == connected_by_brute_force()


def connected_by_brute_force():
    """Over all 8^6 cells at once: an edge is there unless its operation is number 0, `none`."""
    e01, e02, e12, e03, e13, e23 = np.indices((8,) * 6) > 0
    paths = e03 | (e01 & e13) | (e02 & e23) | (e01 & e12 & e23)
    assert paths.size == 8**6
    return int(paths.sum())


def test_the_size_of_the_space_is_its_cells_times_the_rest():
    """One width and one depth of 2: reductions after the first, the second, or both."""
    estimate = count(FewShotCell(widths=(8,), depths=(2,)), limit=10, samples=4000)
    low, high = estimate.interval
    assert low <= 3 * connected_by_brute_force() <= high
    assert not estimate.exact


def test_sampled_cells_are_connected_and_use_every_option():
    rng = random.Random(0)
    space = FewShotCell()
    specs = [replay(space, sample(space, rng)) for _ in range(300)]
    assert all(connected(spec.cell) for spec in specs)
    assert {name for spec in specs for name in spec.cell} == set(OPERATIONS)
    assert {spec.width for spec in specs} == {8, 16, 24, 32}
    assert {spec.num_cells for spec in specs} == {2, 3, 4}
    assert {len(spec.reductions) for spec in specs} == {1, 2}
    assert all(set(spec.reductions) <= set(range(spec.num_cells)) for spec in specs)


# --- the diagram -----------------------------------------------------------------------------------------------------


def test_the_diagram_agrees_with_the_spec():
    rng = random.Random(3)
    space = FewShotCell()
    for _ in range(50):
        spec = replay(space, sample(space, rng))
        diagram = space.graph(spec)
        ends = {"input": 0, "node1": 1, "node2": 2, "node3": 3}
        operations = set(diagram) - set(ends)
        found = {}
        for node in operations:
            (source,), (target,) = diagram.predecessors(node), diagram.successors(node)
            found[ends[source], ends[target]] = diagram.nodes[node]["op"]
        expected = {edge: name for edge, name in zip(EDGES, spec.cell, strict=True) if name != "none"}
        assert found == expected
        assert {node: diagram.nodes[node]["op"] for node in ends} == {
            "input": "input",
            "node1": "sum",
            "node2": "sum",
            "node3": "output",
        }
        assert Counter(nx.get_node_attributes(diagram, "op").values()) == Counter(
            [*expected.values(), "input", "sum", "sum", "output"]
        )
        assert nx.is_directed_acyclic_graph(diagram)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reductions, smallest", [((0,), 3), ((1,), 3), ((0, 1), 7)])
def test_images_too_small_to_be_halved_are_refused_and_no_others(reductions, smallest):
    space = FewShotCell()
    spec = CellStack(("conv3",) * 6, 4, 2, reductions)
    for shape in ((1, smallest, 28), (1, 28, smallest)):
        assert space.build(spec, TaskShape(shape, 5))(torch.rand(2, *shape)).shape == (2, 5)
    for shape in ((1, smallest - 1, 28), (1, 28, smallest - 1)):
        with pytest.raises(SpaceError, match=f"cannot be halved to 1×1; need at least {smallest} pixels"):
            space.build(spec, TaskShape(shape, 5))
        with pytest.raises(RuntimeError):  # it could not have worked
            CellNetwork(spec, EDGES, TaskShape(shape, 5))(torch.rand(2, *shape))


@pytest.mark.parametrize("option", ["widths", "depths"])
@pytest.mark.parametrize("values", [(), (0, 4), (4, 4), (-1,)])
def test_options_that_make_no_network_are_refused(option, values):
    with pytest.raises(ConfigError, match=rf"few-shot-cell {option} = \[.*distinct whole numbers from 1"):
        FewShotCell(**{option: values})


def test_a_single_cell_is_reduced_once():
    space = FewShotCell(depths=(1,))
    rng = random.Random(0)
    assert {replay(space, sample(space, rng)).reductions for _ in range(20)} == {(0,)}


def test_equal_cells_written_differently_are_recognised():
    """Nodes 1 and 2 change places when no edge joins them."""
    space = FewShotCell()
    one = CellStack(("conv3", "sep3", "none", "none", "skip", "dil3"), 8, 2, (0,))
    other = CellStack(("sep3", "conv3", "none", "none", "dil3", "skip"), 8, 2, (0,))
    different = CellStack(("sep3", "conv3", "none", "none", "skip", "dil3"), 8, 2, (0,))
    forms = [canonical(space.graph(spec)) for spec in (one, other, different)]
    assert forms[0] == forms[1] != forms[2]
    others = [replace(one, width=16), replace(one, num_cells=3), replace(one, reductions=(1,))]
    assert len({canonical(space.graph(spec)) for spec in (one, *others)}) == 4
