"""The recurrent cell: its published count, its networks against numpy one number at a time, its diagram."""

import itertools
import math
import random

import numpy as np
import pytest
import torch
from helpers.evaluators import seeded  # noqa: F401  # fixture
from helpers.networks import check_treatable

from nas.errors import ConfigError, SpaceError
from nas.search_spaces import RecurrentCell
from nas.search_spaces.patches import Patches
from nas.search_spaces.recurrent_cell.network import LIMIT, RecurrentNetwork, TreeCell
from nas.search_spaces.recurrent_cell.spec import CellTree, Merge
from nas.space import count, decide, replay, sample
from nas.space.graph import canonical, live
from nas.task import TaskShape
from nas.testing import check_space

SERIES = TaskShape((2, 7), 3)


def merges(text):
    """ "+tanh *relu" as merges."""
    return tuple(Merge({"+": "add", "*": "elem_mult"}[word[0]], word[1:]) for word in text.split())


# Figure 5 of the paper: a0 = tanh(W1 x + W2 h), a1 = relu(W3 x * W4 h), c into node 0, c from node 1.
EXAMPLE = CellTree(merges("+tanh *relu *sigmoid"), *merges("+relu"), inject_at=0, cell_from=1, width=5)
# The cell that the authors found, as they published it (NASCell of TensorFlow's contrib.rnn).
FOUND = CellTree(
    merges(
        "+sigmoid +relu +sigmoid *relu +tanh +sigmoid +tanh +sigmoid *tanh +tanh *tanh +sigmoid *identity +tanh *tanh"
    ),
    *merges("+tanh"),
    inject_at=8,
    cell_from=12,
    width=4,
)

# --- the count -------------------------------------------------------------------------------------------------------


def closed_form(base):
    """A combination and an activation of each node and of the injection, and two cell indices."""
    nodes = 2 * base - 1
    return (2 * 4) ** (nodes + 1) * nodes**2


def test_all_of_a_small_space_is_its_closed_form():
    assert count(RecurrentCell(base=1)).value == closed_form(1) == 64
    found = count(RecurrentCell(base=2))
    assert found.exact
    assert found.value == closed_form(2) == 36_864


def test_the_published_count_of_base_8():
    """Section 4.2: "approximately 6 × 10^16"."""
    assert closed_form(8) == 8**16 * 15**2 == 63_331_869_759_897_600
    estimate = count(RecurrentCell(), limit=10, samples=20)
    assert estimate.interval == (estimate.value, estimate.value)  # all descents have as many options
    assert estimate.value == pytest.approx(6e16, rel=0.06)
    assert estimate.value == closed_form(8)


def test_widths_multiply():
    assert count(RecurrentCell(base=1, widths=(4, 8, 12))).value == 3 * closed_form(1)


@pytest.mark.parametrize("spec", [EXAMPLE, FOUND], ids=["figure 5", "found"])
def test_published_cells_are_in_the_space(spec):
    """A `pick` that makes the choices by name leads to the very spec."""
    space = RecurrentCell(base=(len(spec.nodes) + 1) // 2, widths=(spec.width,))
    kinds = list(itertools.product(("add", "elem_mult"), ("identity", "tanh", "sigmoid", "relu")))
    named = {f"node{place}": node for place, node in enumerate(spec.nodes)} | {"inject": spec.inject}

    def pick(name, _):
        if "." not in name:
            return {"inject_at": spec.inject_at, "cell_from": spec.cell_from, "width": 0}[name]
        node, _, part = name.partition(".")
        combination, activation = divmod(kinds.index((named[node].combination, named[node].activation)), 4)
        return {"combination": combination, "activation": activation}[part]

    assert decide(space, pick)[0] == spec


# --- the cell --------------------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def one_step(spec):
    """A cell with its weights by leaf, and what it makes of random x, h and c; all in numpy."""
    cell = TreeCell(spec).double()
    x, h, c = (torch.randn(3, spec.width, dtype=torch.float64) for _ in range(3))
    new_h, new_c = cell(cell.from_x(x), h, c)
    wx, wh = (layer.weight.detach().numpy().reshape(-1, spec.width, spec.width) for layer in (cell.from_x, cell.from_h))
    xs, hs = (np.einsum("loi,ni->lno", w, v.numpy()) for w, v in ((wx, x), (wh, h)))
    return xs, hs, c.numpy(), new_h.detach().numpy(), new_c.detach().numpy()


def test_the_example_of_the_paper():
    """Section 3.4, step by step."""
    x, h, c, new_h, new_c = one_step(EXAMPLE)
    a0 = np.tanh(x[0] + h[0])
    a1 = relu(x[1] * h[1])
    a0_new = relu(a0 + c)
    a2 = sigmoid(a0_new * a1)
    assert np.allclose(new_h, a2)
    assert np.allclose(new_c, x[1] * h[1])


def test_the_cell_that_they_found():
    x, h, c, new_h, new_c = one_step(FOUND)
    first = [sigmoid(x[0] + h[0]), relu(x[1] + h[1]), sigmoid(x[2] + h[2]), relu(x[3] * h[3])]
    first += [np.tanh(x[4] + h[4]), sigmoid(x[5] + h[5]), np.tanh(x[6] + h[6]), sigmoid(x[7] + h[7])]
    second = [np.tanh(first[0] * first[1]), np.tanh(first[2] + first[3])]
    second += [np.tanh(first[4] * first[5]), sigmoid(first[6] + first[7])]
    memory = np.tanh(second[0] + c) * second[1]
    assert np.allclose(new_c, memory)
    assert np.allclose(new_h, np.tanh(memory * np.tanh(second[2] + second[3])))


# --- the network -----------------------------------------------------------------------------------------------------

SLOW = {
    "identity": lambda x: x,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0),
}


def merged(merge, left, right):
    """Before and after the activation."""
    before = [a + b if merge.combination == "add" else a * b for a, b in zip(left, right, strict=True)]
    return before, [SLOW[merge.activation](value) for value in before]


def slow_cell(spec, wx, wh, x, h, c):
    """From the root down, by recursion, with lists of numbers."""
    base, width = (len(spec.nodes) + 1) // 2, spec.width
    made = {}

    def value(place):
        if place < base:
            rows = slice(place * width, (place + 1) * width)
            left, right = wx[rows] @ x, wh[rows] @ h
        else:
            left, right = value(2 * (place - base)), value(2 * (place - base) + 1)
        made[place], after = merged(spec.nodes[place], left, right)
        return merged(spec.inject, after, c)[1] if place == spec.inject_at else after

    new_h = value(2 * base - 2)
    return [[min(max(v, -LIMIT), LIMIT) for v in values] for values in (new_h, made[spec.cell_from])]


def slow_network(spec, network, series, steps):
    """One series (channels, length), in steps with zeros before the first value."""
    parameters = {name: p.detach().numpy() for name, p in network.named_parameters()}
    per_step = math.ceil(series.shape[1] / steps)
    padded = [[0.0] * (-series.shape[1] % per_step) + list(channel) for channel in series]
    h, c = parameters["first_h"], parameters["first_c"]
    seen = []
    for begin in range(0, len(padded[0]), per_step):
        values = [value for channel in padded for value in channel[begin : begin + per_step]]
        x = parameters["embedding.weight"] @ values + parameters["embedding.bias"]
        h, c = slow_cell(spec, parameters["cell.from_x.weight"], parameters["cell.from_h.weight"], x, h, c)
        seen.append(h)
    features = [*h, *(sum(column) / len(seen) for column in zip(*seen, strict=True))]
    return parameters["head.weight"] @ features + parameters["head.bias"]


@pytest.mark.parametrize("base", [1, 2, 3, 8])
def test_networks_compute_what_their_spec_says(base):
    space = RecurrentCell(base=base, widths=(2, 3), max_steps=4)
    rng = random.Random(base)
    for _ in range(12):
        spec = replay(space, sample(space, rng))
        network = space.build(spec, SERIES).double()
        for p in network.parameters():
            p.data += 0.5 * torch.randn_like(p)
        x = torch.randn(3, *SERIES.input_shape, dtype=torch.float64)
        expected = [slow_network(spec, network, series, 4) for series in x.numpy()]
        assert np.allclose(network(x).detach().numpy(), expected, rtol=1e-9, atol=1e-9), spec


def test_cells_of_products_stay_finite():
    """h and c would be squared again and again: 10 ** 8 after three of the 16 steps."""
    squares = CellTree(merges("+identity +identity *identity"), *merges("*identity"), 2, 2, 4)
    network = RecurrentNetwork(squares, TaskShape((1, 16), 3), 16)
    torch.nn.init.ones_(network.cell.from_x.weight)
    torch.nn.init.ones_(network.cell.from_h.weight)
    outputs = network(10 * torch.rand(2, 1, 16))
    gradients = torch.autograd.grad(outputs.sum(), list(network.parameters()))
    assert all(bool(t.isfinite().all()) for t in (outputs, *gradients))


def test_it_is_a_space_for_few_shots():
    space = RecurrentCell(base=3, widths=(2, 3), max_steps=4)
    check_space(space, task=SERIES, builds=10)
    check_treatable(space, SERIES)


def test_random_cells_of_the_published_base_can_be_trained():
    """None of them is dead or blows up on series as long as those of the tasks."""
    space = RecurrentCell(widths=(8,))
    check_space(space, task=TaskShape((1, 64), 5), samples=40, builds=40)


def test_it_learns_to_tell_apart_what_only_order_tells_apart():
    """Series of the same values, rising or falling."""
    network = RecurrentCell().build(FOUND, TaskShape((1, 6), 2))
    rising = torch.rand(40, 1, 6).sort(-1).values
    x, y = torch.cat([rising, rising.flip(-1)]), torch.arange(2).repeat_interleave(40)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    assert (network(x).argmax(1) == y).float().mean() > 0.95


# --- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length, steps, per_step", [(1, 1, 1), (16, 16, 1), (17, 9, 2), (64, 16, 4), (2000, 16, 125)])
def test_long_series_have_longer_steps(length, steps, per_step):
    patches = Patches((1, length), 16)
    assert (patches.count, patches.numbers) == (steps, per_step)
    x = torch.arange(1.0, 1 + length)[None, None]
    cut = patches(x)
    assert cut.shape == (1, steps, per_step)
    assert torch.equal(cut.flatten(), torch.cat([torch.zeros(steps * per_step - length), x.flatten()]))


# --- the diagram -----------------------------------------------------------------------------------------------------


def test_the_diagram_of_the_example():
    diagram = RecurrentCell(base=2).graph(EXAMPLE)
    assert set(live(diagram)) == set(diagram)
    ends = ["input:x", "input:h", "input:c", "output:h", "output:c"]
    merging = ["add", "tanh", "elem_mult", "relu", "add", "relu", "elem_mult", "sigmoid"]
    assert sorted(op for _, op in diagram.nodes(data="op")) == sorted(ends + merging + ["linear 5"] * 4)
    assert list(diagram.predecessors("new c")) == ["node1.before"]
    assert list(diagram.predecessors("new h")) == ["node2"]
    assert set(diagram.predecessors("inject.before")) == {"node0", "c"}


def test_all_of_a_cell_is_alive():
    space = RecurrentCell()
    rng = random.Random(0)
    for _ in range(20):
        diagram = space.graph(replay(space, sample(space, rng)))
        assert set(live(diagram)) == set(diagram)


def swapped(spec):
    """A cell of base 2 with its two leaves exchanged, which is the same cell."""
    other = {0: 1, 1: 0, 2: 2}
    nodes = (spec.nodes[1], spec.nodes[0], spec.nodes[2])
    return CellTree(nodes, spec.inject, other[spec.inject_at], other[spec.cell_from], spec.width)


def test_cells_written_differently_are_recognised_and_no_others():
    """Leaves change places; every single choice of a cell matters."""
    space = RecurrentCell(base=2, widths=(4, 8))
    rng = random.Random(0)
    for _ in range(100):
        spec = replay(space, sample(space, rng))
        key = canonical(space.graph(spec))
        assert key == canonical(space.graph(swapped(spec)))
    changes = [
        CellTree(merges("+tanh *relu *tanh"), EXAMPLE.inject, 0, 1, 5),
        CellTree(merges("+tanh +relu *sigmoid"), EXAMPLE.inject, 0, 1, 5),
        CellTree(EXAMPLE.nodes, *merges("*relu"), 0, 1, 5),
        CellTree(EXAMPLE.nodes, *merges("+tanh"), 0, 1, 5),
        CellTree(EXAMPLE.nodes, EXAMPLE.inject, 1, 1, 5),
        CellTree(EXAMPLE.nodes, EXAMPLE.inject, 2, 1, 5),
        CellTree(EXAMPLE.nodes, EXAMPLE.inject, 0, 0, 5),
        CellTree(EXAMPLE.nodes, EXAMPLE.inject, 0, 2, 5),
        CellTree(EXAMPLE.nodes, EXAMPLE.inject, 0, 1, 6),
    ]
    keys = {canonical(space.graph(spec)) for spec in [EXAMPLE, *changes]}
    assert len(keys) == 1 + len(changes)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [(), (0, 3), (3, 3), (-1,)])
def test_widths_that_make_no_network_are_refused(values):
    with pytest.raises(ConfigError, match=r"recurrent-cell widths = \[.*distinct whole numbers from 1"):
        RecurrentCell(widths=values)


@pytest.mark.parametrize("option", ["base", "max_steps"])
def test_a_cell_without_leaves_or_steps_is_refused(option):
    with pytest.raises(ConfigError, match=f"recurrent-cell {option} = 0; it must be a whole number from 1"):
        RecurrentCell(**{option: 0})


@pytest.mark.parametrize("shape", [(5,), (1, 28, 28)])
def test_inputs_that_are_not_series_are_refused(shape):
    with pytest.raises(SpaceError, match=rf"recurrent-cell needs series.*this task's inputs are \({shape[0]}"):
        RecurrentCell(base=2).build(EXAMPLE, TaskShape(shape, 5))
