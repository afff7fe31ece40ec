"""NAS-Bench-101: the published counts, the published sizes, and networks against an independent slow version."""

import itertools
import random
from contextlib import nullcontext

import networkx as nx
import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from helpers.spaces import check_export, check_second_order
from torch.nn import functional as F

from nas.errors import ConfigError, Rejected, SpaceError
from nas.search_spaces import NasBench101
from nas.search_spaces.nas_bench_101.network import vertex_channels
from nas.search_spaces.nas_bench_101.space import unique_cells
from nas.search_spaces.nas_bench_101.spec import OPERATIONS, Cell
from nas.space import decide, replay, sample
from nas.space.graph import canonical
from nas.task import TaskShape

SPACE = NasBench101()
SKELETON = NasBench101(width=128, cells=3)
CIFAR = TaskShape((3, 32, 32), 10)
GLYPHS = TaskShape((1, 28, 28), 5)
CHAIN = tuple((vertex, vertex + 1) for vertex in range(6))


def edges(matrix):
    return tuple((a, b) for a, row in enumerate(matrix) for b, value in enumerate(row) if value)


# --- how many differ -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_vertices, number", [(2, 1), (3, 7), (4, 91), (5, 2_532), (6, 64_542)])
def test_the_published_number_of_cells(max_vertices, number):
    assert sum(1 for _ in unique_cells(max_vertices)) == number


@pytest.mark.slow
def test_the_published_number_of_all_cells(request):
    if "slow" not in request.config.option.markexpr:
        pytest.skip("takes minutes; run with -m slow")
    assert sum(1 for _ in unique_cells(7)) == 423_624


def least(cell):
    """The least description over all orders of the inner vertices: equal for isomorphic cells, and only those."""
    inner = range(1, len(cell.operations) + 1)
    described = []
    for order in itertools.permutations(inner):
        place = {0: 0, len(inner) + 1: len(inner) + 1, **dict(zip(order, inner, strict=True))}
        operations = [cell.operations[vertex - 1] for vertex in order]
        described.append((operations, sorted((place[a], place[b]) for a, b in cell.edges)))
    return str(min(described))


def all_cells(num_vertices):
    """All that have no vertex off the paths from input to output, judged by networkx."""
    pairs = list(itertools.combinations(range(num_vertices), 2))
    for kept in itertools.product((False, True), repeat=len(pairs)):
        found = tuple(itertools.compress(pairs, kept))
        graph = nx.DiGraph(found)
        graph.add_nodes_from(range(num_vertices))
        on_path = nx.descendants(graph, 0) & nx.ancestors(graph, num_vertices - 1)
        if len(on_path) == num_vertices - 2 and 0 < len(found) <= 9:
            for operations in itertools.product(OPERATIONS, repeat=num_vertices - 2):
                yield Cell(operations, found)


def test_keys_are_equal_exactly_for_isomorphic_cells():
    cells = [cell for num_vertices in (2, 3, 4, 5) for cell in all_cells(num_vertices)]
    keys, forms = [canonical(SPACE.graph(cell)) for cell in cells], list(map(least, cells))
    assert len(set(keys)) == len(set(forms)) == len(set(zip(keys, forms, strict=True))) == 2_532 < len(cells)
    found = list(unique_cells(5))
    assert {canonical(SPACE.graph(cell)) for cell in found} == set(keys)
    few = list(unique_cells(5, max_edges=4))
    assert set(few) == {cell for cell in found if len(cell.edges) <= 4} != set(found)


# --- choices ---------------------------------------------------------------------------------------------------------


def test_sampled_cells_are_within_bounds_and_live():
    rng = random.Random(0)
    cells = [replay(SPACE, sample(SPACE, rng)) for _ in range(300)]
    for cell in cells:
        last = len(cell.operations) + 1
        graph = SPACE.graph(cell)
        assert set(graph) == set(range(last + 1)) == {0, last} | (nx.descendants(graph, 0) & nx.ancestors(graph, last))
        assert len(cell.edges) <= 9
        assert list(cell.edges) == sorted(cell.edges)
    assert {len(cell.operations) for cell in cells} >= {2, 3, 4, 5}
    assert {name for cell in cells for name in cell.operations} == set(OPERATIONS)


def test_what_is_on_no_path_is_left_out():
    rng, cells = random.Random(1), []
    for _ in range(200):
        pairs = [pair for pair in itertools.combinations(range(7), 2) if rng.random() < 0.35]
        chosen = {f"vertex{v}": v % 3 for v in range(1, 6)} | dict.fromkeys([f"edge{a}-{b}" for a, b in pairs], 1)
        graph = nx.DiGraph(pairs)
        graph.add_nodes_from(range(7))
        kept = sorted({0, 6} | (nx.descendants(graph, 0) & nx.ancestors(graph, 6)))
        live = nx.relabel_nodes(graph.subgraph(kept), {vertex: i for i, vertex in enumerate(kept)})
        expected = Cell(tuple(OPERATIONS[v % 3] for v in kept[1:-1]), tuple(sorted(live.edges)))
        reason = "no path" if not live.edges else "more than 9 edges" if len(live.edges) > 9 else None
        with nullcontext() if reason is None else pytest.raises(Rejected, match=reason):
            cells.append(decide(SPACE, lambda name, _, chosen=chosen: chosen.get(name, 0))[0])
            assert cells[-1] == expected
    assert 50 < len(cells) < 200


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_vertices": 1}, "max_vertices = 1; it must be a whole number from 2"),
        ({"max_edges": 0}, "max_edges = 0; it must be a whole number from 1"),
        ({"cells": 0}, "cells = 0"),
        ({"width": 4}, "width = 4; it must be a whole number from 5"),
        ({"max_vertices": 2, "width": 0}, "width = 0; it must be a whole number from 1"),
    ],
)
def test_options_that_make_no_network_are_refused(options, message):
    with pytest.raises(ConfigError, match=f"nas-bench-101 {message}"):
        NasBench101(**options)


INCEPTION = [
    [0, 1, 1, 1, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 1, 0, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]
INCEPTION_OPERATIONS = ["input", "conv1x1-bn-relu", *["conv3x3-bn-relu"] * 3, "maxpool3x3", "output"]


def test_a_cell_is_read_as_in_the_table():
    cell = replay(SPACE, SPACE.from_matrix(INCEPTION, INCEPTION_OPERATIONS))
    assert cell == Cell(("conv1x1", "conv3x3", "conv3x3", "conv3x3", "maxpool3x3"), edges(INCEPTION))
    small = replay(SPACE, SPACE.from_matrix([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["", "conv1x1", ""]))
    assert small == Cell(("conv1x1",), ((0, 1), (0, 2), (1, 2)))
    assert replay(SPACE, SPACE.from_matrix([[0, 1], [0, 0]], ["input", "output"])) == Cell((), ((0, 1),))
    for cell in itertools.islice(unique_cells(5), 0, None, 17):
        size = len(cell.operations) + 2
        matrix = [[int((a, b) in cell.edges) for b in range(size)] for a in range(size)]
        assert replay(SPACE, SPACE.from_matrix(matrix, ["input", *cell.operations, "output"])) == cell


@pytest.mark.parametrize(
    "matrix, operations, message",
    [
        ([[0]], ["input"], "a cell of 1 vertices; nas-bench-101 has 2 to 7"),
        ([[0] * 8] * 8, ["input"] * 8, "a cell of 8 vertices"),
        ([[0, 1], [0, 0]], ["input"], "1 operations for 2 vertices"),
        ([[0, 1], [1, 0]], ["input", "output"], r"row 1 of the matrix is \[1, 0\].*right of the diagonal"),
        ([[0, 2], [0, 0]], ["input", "output"], r"row 0 of the matrix is \[0, 2\]"),
        ([[0, 1], [0]], ["input", "output"], r"row 1 of the matrix is \[0\]; it must be 2 times 0 or 1"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["", "conv3", ""], "'conv3' is not known: did you mean 'conv3x3'"),
    ],
)
def test_what_is_no_cell_is_refused(matrix, operations, message):
    with pytest.raises(SpaceError, match=message):
        SPACE.from_matrix(matrix, operations)


def test_a_cell_that_is_not_allowed_is_rejected():
    full = [[int(a < b) for b in range(7)] for a in range(7)]
    with pytest.raises(Rejected, match="more than 9 edges"):
        SPACE.from_matrix(full, ["input", *["conv1x1"] * 5, "output"])
    assert NasBench101(max_edges=21).from_matrix(full, ["input", *["conv1x1"] * 5, "output"])
    with pytest.raises(Rejected, match="no path"):
        SPACE.from_matrix([[0, 0], [0, 0]], ["input", "output"])


# --- networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pairs, inputs, outputs, expected",
    [
        (((0, 1), (1, 2), (2, 3)), 8, 16, [8, 16, 16, 16]),
        (((0, 1),), 5, 1, [5, 1]),
        (((0, 1), (0, 2), (1, 3), (2, 3)), 16, 8, [16, 4, 4, 8]),
        (((0, 1), (0, 2), (1, 3), (2, 3)), 8, 15, [8, 8, 7, 15]),
        (((0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)), 8, 8, [8, 3, 3, 2, 8]),
        (((0, 1), (1, 2), (1, 3), (2, 4), (3, 4)), 8, 9, [8, 5, 5, 4, 9]),
        (((0, 1), (0, 3), (1, 2), (1, 4), (2, 3), (3, 4)), 8, 15, [8, 8, 7, 7, 15]),
    ],
)
def test_channels_are_divided_as_the_authors_do(pairs, inputs, outputs, expected):
    """The cases of the tests of their code."""
    assert vertex_channels(Cell(("conv3x3",) * (len(expected) - 2), pairs), inputs, outputs) == expected


def test_isomorphic_cells_have_the_same_channels():
    """Also where division leaves a channel over: 3 ends of 16 and 32 channels have 6, 5, 5 and 11, 11, 10."""
    rng, divided = random.Random(2), 0
    for cell in random.Random(3).sample(list(unique_cells(5)), 400):
        graph, inner = SPACE.graph(cell), list(range(1, len(cell.operations) + 1))
        rng.shuffle(inner)
        rank = {vertex: i for i, vertex in enumerate([0, *inner, len(inner) + 1])}
        order = list(nx.lexicographical_topological_sort(graph, key=rank.get))
        place = {vertex: i for i, vertex in enumerate(order)}
        other = Cell(
            tuple(cell.operations[vertex - 1] for vertex in order[1:-1]),
            tuple(sorted((place[a], place[b]) for a, b in cell.edges)),
        )
        for outputs in (16, 32):
            widths = [vertex_channels(c, 16, outputs) for c in (cell, other)]
            marked = [SPACE.graph(c) for c in (cell, other)]
            for diagram, channels in zip(marked, widths, strict=True):
                for vertex in inner:
                    diagram.nodes[vertex]["op"] += f" {channels[vertex]}"
            assert canonical(marked[0]) == canonical(marked[1])
            assert all(widths[0][a] >= widths[0][b] for a, b in cell.edges if a > 0 and b in inner)
        divided += len(set(widths[0][1:-1])) > 1 and other != cell
    assert divided > 10


RECORD = [
    [0, 1, 0, 0, 1, 1, 0],
    [0, 0, 1, 0, 0, 0, 0],
    [0, 0, 0, 1, 0, 0, 1],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0],
]


@pytest.mark.parametrize(
    "cell, number",
    [
        (Cell(("conv1x1", "conv3x3", "conv3x3", "conv3x3", "maxpool3x3"), edges(INCEPTION)), 2_694_282),
        (Cell(("conv3x3", "maxpool3x3", "conv3x3", "conv3x3", "conv1x1"), edges(RECORD)), 8_555_530),
        (Cell(("conv3x3",) * 5, tuple(sorted([*CHAIN, (0, 2), (0, 3), (0, 4)]))), 49_979_274),
    ],
    ids=["the table's example", "the table's first record", "the largest in the table"],
)
def test_sizes_are_those_of_the_table(cell, number):
    with torch.device("meta"):
        network = SKELETON.build(cell, CIFAR)
    assert sum(p.numel() for p in network.parameters()) == number


def slow_conv(layers, x):
    convolution, norm, _ = layers
    y = F.conv2d(x, convolution.weight, padding=convolution.weight.shape[-1] // 2)
    mean, variance = y.mean(dim=(0, 2, 3), keepdim=True), y.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
    y = (y - mean) / (variance + 1e-5).sqrt() * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    return y.clamp(min=0)


def slow_pool(x):
    padded = F.pad(x, (1, 1, 1, 1), value=-torch.inf)
    height, width = x.shape[2:]
    return torch.stack([padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]).amax(dim=0)


def slow_cell(cell, module, x):
    """By recursion, with the channels of the layers that are there."""
    last = len(cell.operations) + 1

    def into(vertex, skip_input=False):
        return [source for source, target in cell.edges if target == vertex and (source or not skip_input)]

    def projected(vertex):
        return slow_conv(module.projections[f"vertex{vertex}"], x)

    def value(vertex):
        kept = module.channels[vertex]
        total = sum(projected(vertex) if source == 0 else value(source)[:, :kept] for source in into(vertex))
        operation = module.operations[f"vertex{vertex}"]
        return slow_pool(total) if cell.operations[vertex - 1] == "maxpool3x3" else slow_conv(operation, total)

    ends = [value(source) for source in into(last, skip_input=True)]
    parts = [torch.cat(ends, dim=1)] if ends else []
    return sum([*parts, *([projected(last)] if 0 in into(last) else [])])


def slow_network(cell, cells, network, x):
    y = slow_conv(network.stem, x)
    for stack in range(3):
        if stack:
            rows, columns = range(0, y.shape[2], 2), range(0, y.shape[3], 2)
            parts = [y[..., i : i + 2, j : j + 2].amax(dim=(2, 3)) for i, j in itertools.product(rows, columns)]
            y = torch.stack(parts, dim=-1).view(*y.shape[:2], len(rows), len(columns))
        for index in range(cells):
            y = slow_cell(cell, getattr(network.stacks, f"cell{stack}_{index}"), y)
    return y.mean(dim=(2, 3)) @ network.head.weight.T + network.head.bias


def test_networks_compute_the_graph_that_their_spec_says():
    space, shape = NasBench101(width=5, cells=2), TaskShape((2, 7, 10), 3)
    rng = random.Random(0)
    specs = [Cell((), ((0, 1),)), *(replay(space, sample(space, rng)) for _ in range(14))]
    for spec in specs:
        network = space.build(spec, shape).double()
        for p in network.parameters():
            p.data += 0.1 * torch.randn_like(p)
        x = torch.rand(3, *shape.input_shape, dtype=torch.float64)
        assert torch.allclose(network(x), slow_network(spec, 2, network, x), rtol=1e-7, atol=1e-9), spec


def test_source_of_the_networks_computes_the_same(tmp_path):
    rng = random.Random(4)
    for _ in range(3):
        network = SPACE.build(replay(SPACE, sample(SPACE, rng)), GLYPHS)
        check_export(network, GLYPHS, tmp_path)


def test_second_order_meta_gradients_are_those_of_a_plain_loop():
    check_second_order(NasBench101(width=5, max_vertices=6))


def test_images_too_small_to_be_halved_twice_are_refused():
    spec = Cell(("conv3x3",), ((0, 1), (1, 2)))
    assert SPACE.build(spec, TaskShape((1, 3, 9), 5))(torch.rand(2, 1, 3, 9)).shape == (2, 5)
    with pytest.raises(SpaceError, match="need at least 3 pixels"):
        SPACE.build(spec, TaskShape((1, 2, 9), 5))
