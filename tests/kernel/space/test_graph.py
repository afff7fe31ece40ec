"""Laws of cells as graphs. Isomorphism is judged by networkx, contraction by evaluating the graph as a polynomial."""

from __future__ import annotations

import io
import itertools
import json
import random
from collections import Counter
from pathlib import Path

import networkx as nx
import pytest
from PIL import Image

from nas.errors import SpaceError
from nas.space.drawing import draw, to_dot
from nas.space.graph import canonical, edges_to_nodes, live, walks

OPS = ["conv", "pool"]


def cell(ops: dict[object, str], edges: list[tuple[object, object]]) -> nx.DiGraph:
    graph = nx.DiGraph()
    for node, op in ops.items():
        graph.add_node(node, op=op)
    graph.add_edges_from(edges)
    return graph


def chain(*ops: str) -> nx.DiGraph:
    names = ["in", *range(len(ops)), "out"]
    return cell(dict(zip(names, ["input", *ops, "output"], strict=True)), list(itertools.pairwise(names)))


def random_cell(rng: random.Random, *, inner: int, edges: float, ops: list[str] = OPS, shared: int = 0) -> nx.DiGraph:
    graph = nx.DiGraph()
    for node in range(inner + 2):
        graph.add_node(node, op="input" if node == 0 else "output" if node == inner + 1 else rng.choice(ops))
        if shared and 0 < node <= inner and rng.random() < 0.7:
            graph.nodes[node]["weights"] = rng.randrange(shared)
    for tail, head in itertools.combinations(range(inner + 2), 2):
        if rng.random() < edges:
            graph.add_edge(tail, head, count=rng.choice([1, 1, 2]))
    return graph


def renamed(graph: nx.DiGraph, order: list[int]) -> nx.DiGraph:
    """The same cell with other node names, added in another order, and other weight ids."""
    result = nx.DiGraph()
    for node in order:
        data = dict(graph.nodes[node])
        if "weights" in data:
            data["weights"] = f"group {-data['weights']}"
        result.add_node(f"n{order.index(node)}", **data)
    for tail, head, data in sorted(graph.edges(data=True), key=lambda edge: order.index(edge[1])):
        result.add_edge(f"n{order.index(tail)}", f"n{order.index(head)}", **data)
    return result


def same_by_networkx(one: nx.DiGraph, other: nx.DiGraph) -> bool:
    """Isomorphism of the live graphs. A group of shared weights becomes a node that points at its members."""

    def plain(graph: nx.DiGraph) -> nx.DiGraph:
        result = nx.DiGraph()
        pruned = live(graph)
        for node, data in pruned.nodes(data=True):
            result.add_node(node, label=data["op"])
        result.add_edges_from(pruned.edges(data=True))
        ids = [data.get("weights") for _, data in pruned.nodes(data=True)]
        for node, data in pruned.nodes(data=True):
            if data.get("weights") is not None and ids.count(data["weights"]) > 1:
                result.add_node(("weights", data["weights"]), label="weights")
                result.add_edge(("weights", data["weights"]), node, count=1)
        return result

    return bool(
        nx.is_isomorphic(
            plain(one),
            plain(other),
            node_match=lambda a, b: a["label"] == b["label"],
            edge_match=lambda a, b: a["count"] == b["count"],
        )
    )


@pytest.mark.parametrize("seed", range(20))
def test_key_ignores_names_and_order(seed: int) -> None:
    rng = random.Random(seed)
    graph = random_cell(rng, inner=rng.randrange(1, 15), edges=rng.uniform(0.2, 0.8), shared=3)
    for _ in range(5):
        order = list(graph)
        rng.shuffle(order)
        assert canonical(renamed(graph, order)) == canonical(graph)


def test_key_is_the_same_for_every_permutation() -> None:
    graph = random_cell(random.Random(5), inner=4, edges=0.6, shared=2)
    assert len(live(graph)) == 6
    assert len({canonical(renamed(graph, list(order))) for order in itertools.permutations(graph)}) == 1


@pytest.mark.parametrize("shared", [0, 2])
def test_keys_are_equal_exactly_when_networkx_finds_an_isomorphism(shared: int) -> None:
    rng = random.Random(11)
    graphs = [random_cell(rng, inner=3, edges=0.6, shared=shared) for _ in range(70)]
    keys = [canonical(graph) for graph in graphs]
    verdicts = []
    for (one, first), (other, second) in itertools.combinations(zip(graphs, keys, strict=True), 2):
        verdicts.append(same_by_networkx(one, other))
        assert (first == second) == verdicts[-1]
    assert 20 < sum(verdicts) < len(verdicts) / 2  # both answers were tested


def test_graphs_that_colour_refinement_cannot_tell_apart() -> None:
    # Bipartite incidence of a hexagon and of two triangles: every node looks the same to Weisfeiler and Leman.
    def incidence(sides: list[tuple[int, int]]) -> nx.DiGraph:
        graph = cell({"in": "input", "out": "output"}, [])
        for i in range(6):
            graph.add_node(i, op="conv")
            graph.add_edge("in", i)
        for k, side in enumerate(sides):
            graph.add_node(("side", k), op="conv")
            graph.add_edges_from([(side[0], ("side", k)), (side[1], ("side", k)), (("side", k), "out")])
        return graph

    hexagon = incidence([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)])
    triangles = incidence([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)])
    assert canonical(hexagon) != canonical(triangles)
    assert canonical(hexagon) == canonical(incidence([(0, 3), (3, 1), (1, 4), (4, 2), (2, 5), (5, 0)]))


@pytest.mark.parametrize("branches, length", [(18, 1), (6, 3), (2, 9)])
def test_many_alike_branches_do_not_blow_up(branches: int, length: int) -> None:
    # Without pruning by automorphisms 18 equal branches would mean 18! numberings.
    names = [(b, i) for b in range(branches) for i in range(length)]
    graph = cell({"in": "input", "out": "output"} | dict.fromkeys(names, "conv"), [])
    for b in range(branches):
        nx.add_path(graph, ["in", *((b, i) for i in range(length)), "out"])
    other = renamed(graph, sorted(graph, key=lambda node: str(node)[::-1]))
    assert canonical(graph) == canonical(other)


def test_dead_nodes_and_none_do_not_count() -> None:
    graph = chain("conv")
    for node, op, edges in [
        ("fed", "pool", [("in", "fed")]),
        ("unfed", "pool", [("unfed", "out")]),
        ("nothing", "none", [("in", "nothing"), ("nothing", "out")]),
    ]:
        graph.add_node(node, op=op)
        graph.add_edges_from(edges)
    assert set(live(graph)) == {"in", 0, "out"}
    assert canonical(graph) == canonical(live(graph)) == canonical(chain("conv"))
    assert canonical(chain("none")) == canonical(cell({"a": "input", "b": "output"}, []))
    assert canonical(chain("conv")) != canonical(chain("pool"))


def test_skip_is_the_identity_and_multiplicity_counts() -> None:
    assert canonical(chain("skip", "conv", "skip", "skip")) == canonical(chain("conv"))
    once = chain("conv")
    twice = chain("conv")
    twice.edges["in", 0]["count"] = 2
    assert canonical(chain("sum", "conv", "add")) == canonical(once)
    by_skip = chain("conv")
    by_skip.add_node("s", op="skip")
    by_skip.add_edges_from([("in", "s"), ("s", 0)])
    parallel = nx.MultiDiGraph(once)
    parallel.add_edge("in", 0)
    assert canonical(twice) == canonical(by_skip) == canonical(parallel)
    assert canonical(twice) != canonical(once)


def test_a_sum_is_not_contracted_into_a_concatenation() -> None:
    ends = {"in": "input", "a": "conv", "b": "pool", "k": "concat", "out": "output"}
    edges = [("in", "a"), ("in", "b"), ("k", "out")]
    joined = cell(ends, [*edges, ("a", "k"), ("b", "k")])
    summed = cell(ends | {"s": "skip"}, [*edges, ("a", "s"), ("b", "s"), ("s", "k")])
    through = cell(ends | {"s": "skip"}, [*edges, ("a", "s"), ("s", "k"), ("b", "k")])
    assert canonical(joined) != canonical(summed)
    assert canonical(joined) == canonical(through)


def value(graph: nx.DiGraph) -> int:
    """What the cell computes modulo a large prime, with ops that no sum passes through: an independent slow version."""
    prime = 2**61 - 1
    functions = {
        "input": lambda x: 12345,
        "conv": lambda x: pow(x, 3, prime) + 7,
        "pool": lambda x: pow(x, 5, prime) + 1,
    }
    values: dict[object, int] = {}
    for node in nx.topological_sort(graph):
        total = sum(values[tail] * data["count"] for tail, _, data in graph.in_edges(node, data=True))
        values[node] = functions.get(graph.nodes[node]["op"], lambda x: x)(total) % prime
    return next(values[node] for node in graph if graph.nodes[node]["op"] == "output")


def test_cells_of_equal_key_compute_the_same() -> None:
    rng = random.Random(2)
    results: dict[str, set[int]] = {}
    for _ in range(400):
        graph = live(random_cell(rng, inner=4, edges=0.5, ops=["conv", "skip", "none"]))
        if graph:
            results.setdefault(canonical(graph), set()).add(value(graph))
    assert all(len(values) == 1 for values in results.values())
    assert 10 < len(results) < 300  # many were recognised as the same
    assert len({next(iter(values)) for values in results.values()}) > 0.9 * len(results)


def test_shared_weights_are_told_from_equal_ones() -> None:
    def two(first: object, second: object) -> nx.DiGraph:
        graph = chain("conv", "conv")
        graph.nodes[0]["weights"], graph.nodes[1]["weights"] = first, second
        return graph

    assert canonical(two("a", "a")) == canonical(two("b", "b"))
    assert canonical(two("a", "b")) == canonical(two(None, None)) == canonical(chain("conv", "conv"))
    assert canonical(two("a", "a")) != canonical(two("a", "b"))


def test_attributes_of_the_graph_tell_networks_of_one_cell_apart() -> None:
    def wide(**attributes: object) -> nx.DiGraph:
        graph = chain("conv", "skip")
        graph.graph |= attributes
        return graph

    assert (
        canonical(wide(width=8, cells=2))
        == canonical(wide(cells=2, width=8))
        == canonical(live(wide(cells=2, width=8)))
    )
    assert len({canonical(graph) for graph in (wide(), wide(width=8), wide(width=9), wide(cells=8))}) == 4


def test_keys_stay_what_they_were() -> None:
    """They are stored; a change of them is a change of every store."""
    graph = cell({"a": "input", 1: "conv", 2: "pool", "b": "output"}, [("a", 1), (1, 2), (1, "b"), (2, "b")])
    graph.nodes[1]["weights"] = graph.nodes[2]["weights"] = "w"
    assert canonical(graph) == (
        '[[["conv","add"],["input","add"],["output","add"],["pool","add"],["weights"]],'
        "[[0,2,1],[0,3,1],[1,0,1],[3,2,1],[4,0,1],[4,3,1]]]"
    )


def test_ops_on_edges_become_nodes() -> None:
    graph = nx.DiGraph()
    graph.add_node(0, op="input")
    graph.add_node(2, op="output")
    graph.add_edge(0, 1, op="conv")
    graph.add_edge(1, 2, op="skip")
    graph.add_edge(0, 2, op="none")
    nodes = edges_to_nodes(graph)
    assert sorted(data["op"] for _, data in nodes.nodes(data=True)) == ["add", "conv", "input", "output", "skip"]
    assert not nodes.has_edge(0, 2)
    assert canonical(graph) == canonical(chain("conv"))
    assert graph.nodes[1] == {}  # the argument is left as it was


def test_named_inputs_are_told_apart() -> None:
    ends = {"a": "input:left", "b": "input:right", "c": "conv", "out": "output"}
    one = cell(ends, [("a", "c"), ("c", "out"), ("b", "out")])
    other = cell(ends, [("b", "c"), ("c", "out"), ("a", "out")])
    assert canonical(one) != canonical(other)


def test_unusable_graphs_are_refused() -> None:
    looped = chain("conv")
    looped.add_edge(0, "in")
    with pytest.raises(SpaceError, match="cycle"):
        canonical(looped)
    with pytest.raises(SpaceError, match="no output"):
        live(cell({"a": "input"}, []))


def test_dot_is_deterministic_and_quoted() -> None:
    graph = chain('a "b" \\ c', "conv\nwide")
    graph.edges["in", 0]["count"] = 2
    text = to_dot(graph)
    assert '[label="a \\"b\\" \\\\ c", ' in text
    assert '"conv\\nwide"' in text
    assert '"in" -> "0" [label="×2"];' in text
    backwards = nx.DiGraph()
    backwards.add_nodes_from(reversed(list(graph.nodes(data=True))))
    backwards.add_edges_from(reversed(list(graph.edges(data=True))))
    assert to_dot(backwards) == text


def test_picture_is_a_png_on_white_and_always_the_same(tmp_path: Path) -> None:
    graph = random_cell(random.Random(3), inner=5, edges=0.6, ops=["conv $3×3$", "skip", "max pool"])
    draw(graph, tmp_path / "cell.png")
    image = Image.open(tmp_path / "cell.png").convert("RGB")
    assert image.width > image.height > 50
    assert {image.getpixel((x, y)) for x in (0, image.width - 1) for y in (0, image.height - 1)} == {(255, 255, 255)}
    assert len(image.getcolors(1 << 24) or []) > 5
    again = io.BytesIO()
    draw(graph, again)
    assert again.getvalue() == (tmp_path / "cell.png").read_bytes()


def test_an_empty_cell_has_a_key_and_a_picture(tmp_path: Path) -> None:
    empty = live(chain("none"))
    assert json.loads(canonical(empty)) == [[], []]
    draw(empty, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 0


def test_walks_are_the_sequences_along_the_edges():
    """Against a search from each node over networkx's graph, of cells without identities or shared weights."""
    rng = random.Random(3)
    for _ in range(50):
        graph = random_cell(rng, inner=4, edges=0.6)
        alive = live(graph)
        expected: Counter[tuple[str, ...]] = Counter()
        waiting = [((node,), 1) for node in alive]
        while waiting:
            path, times = waiting.pop()
            expected[tuple(alive.nodes[node]["op"] for node in path)] += times
            for _, after, count in alive.out_edges(path[-1], data="count", default=1) if len(path) < 3 else []:
                waiting.append(((*path, after), times * count))
        assert walks(graph, 3) == expected


def test_walks_are_those_of_the_network_not_of_its_drawing():
    twice = cell({0: "input", 1: "skip", 2: "conv", 3: "output"}, [(0, 1), (1, 2), (0, 2), (2, 3)])
    assert walks(twice, 2) == {
        ("input",): 1, ("conv",): 1, ("output",): 1, ("input", "conv"): 2, ("conv", "output"): 1
    }  # fmt: skip
