"""NAS-Bench-201: the published counts, the published sizes, and networks against an independent slow version."""

import itertools
import random

import networkx as nx
import numpy as np
import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from helpers.project import ROOT
from helpers.spaces import check_export, check_second_order
from torch.nn import functional as F

from nas.architecture import Architecture
from nas.errors import ConfigError, Rejected, SpaceError
from nas.search_spaces import NasBench201
from nas.search_spaces.dense_cell import EDGES
from nas.space import count, enumerate_all, replay, sample
from nas.space.graph import canonical
from nas.task import TaskShape

TABLE = ROOT.parent / "shared" / "data" / "nas_bench_201_cifar10.npz"
ALL = NasBench201(published=True)
SKELETON = NasBench201(width=16, cells=5, published=True)
CIFAR = TaskShape((3, 32, 32), 10)
GLYPHS = TaskShape((1, 28, 28), 5)
TEXT = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
needs_table = pytest.mark.skipif(not TABLE.exists(), reason=f"{TABLE} is not there")


@pytest.fixture(scope="module")
def cells():
    return [replay(ALL, architecture) for architecture in enumerate_all(ALL)]


@pytest.fixture(scope="module")
def keys(cells):
    return [canonical(ALL.graph(cell)) for cell in cells]


# --- the cells -------------------------------------------------------------------------------------------------------


def test_all_cells_are_there_and_by_default_those_with_a_path(cells):
    assert len(cells) == len(set(cells)) == 15_625
    e01, e02, e12, e03, e13, e23 = np.indices((5,) * 6) > 0
    paths = e03 | (e01 & e13) | (e02 & e23) | (e01 & e12 & e23)
    assert count(NasBench201()).value == paths.sum() == 15_284


@pytest.mark.parametrize("option", ["width", "cells"])
def test_options_that_make_no_network_are_refused(option):
    with pytest.raises(ConfigError, match=f"nas-bench-201 {option} = 0; it must be a whole number from 1"):
        NasBench201(**{option: 0})


def test_a_cell_is_written_as_in_the_tables(cells):
    architecture = ALL.from_text(TEXT)
    assert replay(ALL, architecture) == (
        "nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "none", "nor_conv_1x1"
    )  # fmt: skip
    assert ALL.to_text(architecture) == TEXT
    for architecture in itertools.islice(enumerate_all(ALL), 0, None, 97):
        assert ALL.from_text(ALL.to_text(architecture)) == architecture


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "'' is no cell of nas-bench-201; write |{}~0|+|{}~0|{}~1|+"),
        (TEXT[:-1], "is no cell of nas-bench-201"),
        (TEXT + "\n", "is no cell of nas-bench-201"),
        (TEXT.replace("~2", "~1"), "is no cell of nas-bench-201"),
        (TEXT.replace("avg_pool_3x3", "avg_pol_3x3"), "'avg_pol_3x3' is not known: did you mean 'avg_pool_3x3'"),
    ],
)
def test_what_is_no_cell_is_refused(text, message):
    with pytest.raises(SpaceError) as error:
        ALL.from_text(text)
    assert message in str(error.value)


def test_a_cell_without_a_path_can_be_read_where_all_are_allowed():
    text = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert ALL.from_text(text) == Architecture("nas-bench-201", {f"edge{s}-{t}": 0 for s, t in EDGES})
    with pytest.raises(Rejected, match="no path"):
        NasBench201().from_text(text)


# --- how many are the same -------------------------------------------------------------------------------------------


def bend(x, weight, a, b):
    """A function with a weight, neither odd nor even nor linear, that is 0 at 0."""
    return np.sin(a * weight * x) + b * (weight * x) ** 2 / (1 + x * x)


def outputs(weights, pool):
    """What each of the 15,625 cells makes of the number 0.83, given a weight for each edge; one axis an edge."""
    w01, w02, w12, w03, w13, w23 = weights

    def edge(x, w):
        """Each operation on each of the values before, which are of all cells so far: one axis more."""
        return np.stack([0 * x, x, bend(x, w, 1.1, 0.7), bend(x, w, 1.7, 0.3), pool(x, w)], axis=-1)

    first = np.array(0.83)
    second = edge(first, w01)
    third = edge(first, w02)[None, :, None] + edge(second, w12)[:, None, :]
    straight = edge(first, w03)[None, None, None, :, None, None]
    from_second = edge(second, w13)[:, None, None, None, :, None]
    return straight + from_second + edge(third, w23)[:, :, :, None, None, :]


def classes(pool):
    """A number for each cell, equal for cells that compute the same with the same weights, differently named.

    Weights hang on edges, and which edge has which is a matter of names: the least output over all 720 ways to hand
    out six weights tells functions apart and nothing else.
    """
    drawn = np.random.default_rng(0).uniform(0.5, 1.5, 6)
    values = np.full((5,) * 6, np.inf)
    for weights in itertools.permutations(drawn):
        values = np.minimum(values, outputs(weights, pool))
    apart = np.diff(np.sort(values.ravel()))
    assert not ((apart > 1e-13) & (apart < 1e-9)).any()  # rounding is not taken for a difference, nor the reverse
    return np.round(values.ravel(), 10).tolist()


@pytest.mark.parametrize(
    "pool, number",
    [
        (lambda x, w: bend(x, w, 0.9, 0.5), 5_425),
        (lambda x, w: bend(x, 1, 0.9, 0.5), 5_260),
        (lambda x, w: 0.37 * x, 5_044),
    ],
    ids=["an operation like any other", "without weights", "linear"],
)
def test_equal_keys_are_equal_functions(keys, pool, number):
    """Under our rule 5,425 of the 15,625 differ. It takes no account of what an operation is: two pools of one input
    have no weights that could differ, and a pool of a sum is the sum of the pools. So 5,260 and 5,044 differ as
    functions; cells of one key are always the same function."""
    values = classes(pool)
    assert len(set(keys)) == len(set(zip(keys, values, strict=True))) == 5_425
    assert len(set(values)) == number


def written(cell, *, none_is_zero):
    """The paper's text of a cell: a node is the sum of its edges in alphabetical order; an operation is written behind
    the text of what it is applied to, in brackets, and a skip as that text itself, without.

    Where `none` is zero, so is what a zero goes into; but the zeros of a sum stay in it and make it another one.
    """
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for source in range(target):
            name, before = cell[EDGES.index((source, target))], nodes[source]
            zero = none_is_zero and (name == "none" or before == "#")
            terms.append("#" if zero else before if name == "skip_connect" else f"({before})@{name}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def test_the_papers_own_counts(cells):
    """Section 2.1 and the authors' code. They are not our rule: both take two convolutions of one input for one, and a
    sum pasted into a sum is not sorted again, so that the numbers hang on how operations are spelled."""
    assert len({written(cell, none_is_zero=False) for cell in cells}) == 12_751
    assert len({written(cell, none_is_zero=True) for cell in cells}) == 6_466


# --- sizes -----------------------------------------------------------------------------------------------------------


def parameters(cell, *, width=16, repeats=5, classes=10):
    """In closed form: a k×k convolution from a to b channels has k²ab weights, its normalisation 2b."""
    number = 27 * width + 2 * width
    for stage in range(3):
        c = width * 2**stage
        if stage:
            half = c // 2
            number += (9 * half * c + 2 * c) + (9 * c * c + 2 * c) + half * c
        for name in cell:
            number += repeats * {"nor_conv_1x1": c * c + 2 * c, "nor_conv_3x3": 9 * c * c + 2 * c}.get(name, 0)
    return number + 2 * c + c * classes + classes


@pytest.fixture(scope="module")
def table(cells):
    """The size in the table, for each cell."""
    with np.load(TABLE) as file:
        found = {text.decode(): round(1e6 * float(m)) for text, m in zip(file["arch"], file["params_m"], strict=True)}
    return {replay(ALL, ALL.from_text(text)): number for text, number in found.items()}


@needs_table
def test_sizes_are_those_of_the_table_but_for_150(cells, table):
    """The source keeps what it measured under the text that skips are left out of (12,751 of them). Cells of equal text
    differ in size where one uses a convolution twice and another has two. 150 rows have the size of such another cell.
    """
    assert table.keys() == set(cells)
    same_text = {}
    for cell in cells:
        same_text.setdefault(written(cell, none_is_zero=False), set()).add(parameters(cell))
    wrong = [cell for cell in cells if table[cell] != parameters(cell)]
    assert len(wrong) == 150
    assert all(table[cell] in same_text[written(cell, none_is_zero=False)] for cell in wrong)


def test_built_networks_have_the_size_of_the_closed_form(cells):
    with torch.device("meta"):
        for cell in random.Random(0).sample(cells, 30):
            network = SKELETON.build(cell, CIFAR)
            assert sum(p.numel() for p in network.parameters()) == parameters(cell), cell
    small = NasBench201(published=True)
    network = small.build(("nor_conv_3x3",) * 6, TaskShape((3, 28, 28), 5))
    expected = parameters(("nor_conv_3x3",) * 6, width=8, repeats=1, classes=5)
    assert sum(p.numel() for p in network.parameters()) == expected


# --- what they compute -----------------------------------------------------------------------------------------------


def normalised(x, layer):
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * layer.weight.view(1, -1, 1, 1) + layer.bias.view(1, -1, 1, 1)


def average(x):
    """Of the 3×3 neighbours that there are."""
    padded, inside = F.pad(x, (1, 1, 1, 1)), F.pad(torch.ones_like(x), (1, 1, 1, 1))
    height, width = x.shape[2:]
    places = [(..., slice(i, i + height), slice(j, j + width)) for i in range(3) for j in range(3)]
    return sum(padded[place] for place in places) / sum(inside[place] for place in places)


def slow_conv(layers, x, stride=1):
    _, kernel, norm = layers
    return normalised(
        F.conv2d(x.clamp(min=0), kernel.weight, stride=stride, padding=kernel.weight.shape[-1] // 2), norm
    )


def slow_cell(spec, cell, x):
    """By recursion over the edges that `none` leaves. What is not fed is left out of a sum; a sum of nothing is 0."""
    named = {edge: name for edge, name in zip(EDGES, spec, strict=True) if name != "none"}

    def fed(node):
        return node == 0 or any(target == node and fed(source) for source, target in named)

    def node(target):
        if target == 0:
            return x
        total = torch.zeros_like(x)
        for edge in (edge for edge in named if edge[1] == target and fed(edge[0])):
            y = node(edge[0])
            if named[edge].startswith("nor_conv"):
                y = slow_conv(cell.operations[f"edge{edge[0]}_{edge[1]}"], y)
            total = total + (average(y) if named[edge] == "avg_pool_3x3" else y)
        return total

    return node(3)


def slow_network(spec, cells, network, x):
    y = normalised(F.conv2d(x, network.stem[0].weight, padding=1), network.stem[1])
    for stage in range(3):
        if stage:
            block = getattr(network.stages, f"reduction{stage}")
            main = slow_conv(block.second, slow_conv(block.first, y, stride=2))
            round_it = torch.stack(
                [y[..., i : i + 2, j : j + 2].mean(dim=(2, 3)) for i, j in itertools.product(*corners(y))], dim=-1
            ).view(*y.shape[:2], *main.shape[2:])
            y = main + F.conv2d(round_it, block.shortcut[1].weight)
        for index in range(cells):
            y = slow_cell(spec, getattr(network.stages, f"cell{stage}_{index}"), y)
    return normalised(y, network.last[0]).clamp(min=0).mean(dim=(2, 3)) @ network.head.weight.T + network.head.bias


def corners(x):
    return range(0, x.shape[2], 2), range(0, x.shape[3], 2)


def test_without_an_effect_is_left_out_by_default_and_kept_in_the_published_networks():
    # 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
    dead_end = ("nor_conv_3x3", "nor_conv_1x1", "skip_connect", "skip_connect", "none", "none")
    never_fed = ("none", "none", "nor_conv_1x1", "skip_connect", "nor_conv_3x3", "nor_conv_1x1")
    for spec in (dead_end, never_fed):
        assert list(NasBench201().build(spec, CIFAR).stages.cell0_0.parameters()) == []
        kept = NasBench201(published=True).build(spec, CIFAR).stages.cell0_0.operations
        assert list(kept) == [f"edge{s}_{t}" for (s, t), name in zip(EDGES, spec, strict=True) if name != "none"]
    nothing = NasBench201(published=True).build(("none",) * 6, CIFAR)
    assert torch.equal(*nothing(torch.rand(2, 3, 32, 32)))


@pytest.mark.parametrize("published", [False, True])
def test_networks_compute_the_graph_that_their_spec_says(published):
    space = NasBench201(width=2, cells=2, published=published)
    shape = TaskShape((2, 7, 10), 3)
    rng = random.Random(0)
    for _ in range(15):
        spec = replay(space, sample(space, rng))
        network = space.build(spec, shape).double()
        for p in network.parameters():
            p.data += 0.1 * torch.randn_like(p)
        x = torch.rand(3, *shape.input_shape, dtype=torch.float64)
        assert torch.allclose(network(x), slow_network(spec, 2, network, x), rtol=1e-7, atol=1e-9), spec


def test_source_of_the_networks_computes_the_same(tmp_path):
    rng, space = random.Random(4), NasBench201()
    for _ in range(3):
        network = space.build(replay(space, sample(space, rng)), GLYPHS)
        check_export(network, GLYPHS, tmp_path)


def test_second_order_meta_gradients_are_those_of_a_plain_loop():
    check_second_order(NasBench201(width=4))


def test_images_too_small_to_be_halved_twice_are_refused():
    spec = ("nor_conv_3x3",) * 6
    shape = TaskShape((1, 3, 9), 5)
    assert NasBench201().build(spec, shape)(torch.rand(2, *shape.input_shape)).shape == (2, 5)
    with pytest.raises(SpaceError, match="need at least 3 pixels"):
        NasBench201().build(spec, TaskShape((1, 2, 9), 5))


# --- diagrams --------------------------------------------------------------------------------------------------------


def test_the_diagram_is_the_cell(cells):
    names = {"input": 0, "node1": 1, "node2": 2, "output": 3}
    for cell in random.Random(1).sample(cells, 20):
        diagram = ALL.graph(cell)
        found = {(names[tail], names[head]): op for tail, head, op in diagram.edges(data="op")}
        assert found == dict(zip(EDGES, [name.replace("skip_connect", "skip") for name in cell], strict=True))
        assert nx.get_node_attributes(diagram, "op") == {
            "input": "input", "node1": "sum", "node2": "sum", "output": "output"
        }  # fmt: skip
