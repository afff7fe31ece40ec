"""Cells as labelled graphs: live nodes, canonical form and walks.

A cell is a networkx DiGraph without cycles. Each node adds its inputs and applies its `op` to the sum. The ops 'input'
and 'output' (or 'input:left', …, where several ends differ) mark the ends. Optional attributes:

node `join`     how inputs are combined instead of added, such as 'concat' (the default of the op 'concat')
node `weights`  an id; nodes of the same id share their parameters
edge `count`    multiplicity of the input (x + x is not x), 1 where absent; parallel edges of a MultiDiGraph count too
edge `op`       an operation on the edge, as in NAS-Bench-201 (arXiv 2001.00326); `edges_to_nodes` gives it a node

Attributes of the graph as a whole hold what else defines the network, such as DiGraph(width=16, num_cells=3).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import networkx as nx

from ..errors import SpaceError
from .canonical_labelling import Labelling

IDENTITY = frozenset({"skip", "add", "sum"})
"""Operations that return the sum of their inputs."""
NONE = "none"
"""Operation of an edge or a node that passes nothing on."""


def edges_to_nodes(graph: nx.DiGraph) -> nx.DiGraph:
    """The same cell with every operation on a node.

    An edge's op becomes a node between its ends, an edge with the op 'none' is removed, and a node without an op
    becomes 'add'. Parallel edges become one edge with their `count`.
    """
    result = nx.DiGraph(**graph.graph)
    for node, data in graph.nodes(data=True):
        result.add_node(node, **{"op": "add", **data})
    for tail, head, data in graph.edges(data=True):
        op, count = data.get("op"), data.get("count", 1)
        if op == NONE:
            continue
        if op is None:
            _connect(result, tail, head, count)
            continue
        name, same = f"{tail}→{head}", 1
        while name in result:
            same += 1
            name = f"{tail}→{head} ({same})"
        result.add_node(name, **{key: value for key, value in data.items() if key != "count"})
        _connect(result, tail, name, 1)
        _connect(result, name, head, count)
    return result


def live(graph: nx.DiGraph) -> nx.DiGraph:
    """The subgraph that has an effect: nodes on a path from an input to an output, with operations on nodes.

    Returns:
        A copy without nodes of the op 'none'; empty where there is no such path.

    Raises:
        SpaceError: There is a cycle, or there are nodes but no input or no output among them.
    """
    result = edges_to_nodes(graph)
    names = list(result)
    return result.subgraph([names[node] for node in _live(_plain(result))]).copy()


def canonical(graph: nx.DiGraph) -> str:
    """The canonical form of a cell: a text that two cells share exactly when they are the same network.

    Dead nodes are dropped, and identities ('skip', 'add', 'sum') are contracted into their consumers. Cells are then
    the same if they are isomorphic labelled graphs; names of nodes and of weight ids do not matter. Attributes of the
    graph itself (`graph.graph`), plain JSON values, are part of the text.

    Raises:
        SpaceError: As `live`.
    """
    cell = _plain(graph)
    labels, feeds = _contracted(cell, _live(cell))
    form: list[object] = [*Labelling(labels, feeds).least()]
    if graph.graph:
        form.append(sorted(graph.graph.items()))
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False)


def walks(graph: nx.DiGraph, longest: int) -> dict[tuple[str, ...], int]:
    """Number of occurrences of each sequence of at most `longest` operations along the edges of the canonical cell.

    Ends are included: ('input', 'conv', 'pool') counts once for each path from an input through a conv to a pool.
    """
    cell = _plain(graph)
    labels, feeds = _contracted(cell, _live(cell))
    ending: list[dict[tuple[str, ...], int]] = [{(label[0],): 1} for label in labels]
    total: dict[tuple[str, ...], int] = {}
    for _ in range(longest):
        longer: list[dict[tuple[str, ...], int]] = []
        for walks_to_node, label, inputs in zip(ending, labels, feeds, strict=True):
            for walk, times in walks_to_node.items():
                total[walk] = total.get(walk, 0) + times
            after: dict[tuple[str, ...], int] = {}
            for before, count in inputs.items():
                for walk, times in ending[before].items():
                    extended = (*walk, label[0])
                    after[extended] = after.get(extended, 0) + count * times
            longer.append(after)
        ending = longer
    return total


class _Plain(NamedTuple):
    """A cell as lists with one entry a node, those of edges' ops last; a key takes half the time that networkx takes.

    Attributes:
        ops: Operation of each node.
        joins: How each node combines its inputs.
        weights: Id of each node's shared parameters, or None.
        inputs: Predecessors of each node, with the multiplicity of each.
    """

    ops: list[str]
    joins: list[str]
    weights: list[object]
    inputs: list[dict[int, int]]


def _plain(graph: nx.DiGraph) -> _Plain:
    nodes = list(graph.nodes(data=True))
    index = {node: i for i, (node, _) in enumerate(nodes)}
    data = [attributes for _, attributes in nodes]
    inputs: list[dict[int, int]] = [{} for _ in data]
    for tail, head, attributes in graph.edges(data=True):
        op, source = attributes.get("op"), index[tail]
        if op == NONE:
            continue
        if op is not None:
            inputs.append({source: 1})
            source = len(data)
            data.append(attributes)
        into = inputs[index[head]]
        into[source] = into.get(source, 0) + attributes.get("count", 1)
    ops = [str(attributes.get("op", "add")) for attributes in data]
    joins = [
        str(attributes.get("join", "concat" if op == "concat" else "add"))
        for op, attributes in zip(ops, data, strict=True)
    ]
    return _Plain(ops, joins, [attributes.get("weights") for attributes in data], inputs)


def _live(cell: _Plain) -> list[int]:
    """The nodes on a path from an input to an output, in topological order. Raises as `live`."""
    order = _sorted(cell.inputs)
    for end in ("input", "output"):
        if order and not any(is_end(op, end) for op in cell.ops):
            raise SpaceError(f"the graph of a cell has no {end}; give one node the op {end!r}")
    fed: set[int] = set()
    for node in order:
        op = cell.ops[node]
        if op != NONE and (is_end(op, "input") or not fed.isdisjoint(cell.inputs[node])):
            fed.add(node)
    used: set[int] = set()
    for node in reversed(order):
        if node in fed and (node in used or is_end(cell.ops[node], "output")):
            used.add(node)
            used.update(cell.inputs[node])
    return [node for node in order if node in fed and node in used]


def _sorted(inputs: Sequence[Mapping[int, int]]) -> list[int]:
    """All nodes in topological order (Kahn's algorithm)."""
    waits = [len(tails) for tails in inputs]
    heads: list[list[int]] = [[] for _ in inputs]
    for head, tails in enumerate(inputs):
        for tail in tails:
            heads[tail].append(head)
    order = [node for node, number in enumerate(waits) if not number]
    for node in order:
        for head in heads[node]:
            waits[head] -= 1
            if not waits[head]:
                order.append(head)
    if len(order) < len(inputs):
        raise SpaceError("the graph of a cell has a cycle; data must flow one way, from 'input' to 'output'")
    return order


def _connect(graph: nx.DiGraph, tail: Hashable, head: Hashable, count: int) -> None:
    before = graph.edges[tail, head]["count"] if graph.has_edge(tail, head) else 0
    graph.add_edge(tail, head, count=before + count)


def is_end(op: str, end: str) -> bool:
    """Whether an operation marks an end of the cell; `end` is 'input' or 'output'."""
    return op == end or op.startswith(f"{end}:")


def _contracted(cell: _Plain, order: Sequence[int]) -> tuple[list[list[str]], list[dict[int, int]]]:
    """Labels and predecessors of the nodes that remain without identities, and a vertex for each shared weight.

    An identity is contracted into a consumer that adds. Into another consumer it is contracted only if it has a single
    input, since concat(a + b) is not concat(a, b).
    """
    ops, joins = cell.ops, cell.joins
    identity = {node for node in order if ops[node] in IDENTITY and joins[node] == "add"}
    terms: dict[int, dict[int, int]] = {}
    for node in order:
        inputs: dict[int, int] = {}
        for before, count in cell.inputs[node].items():
            if before not in terms:  # A dead node.
                continue
            through = before in identity and (joins[node] == "add" or sum(terms[before].values()) == 1)
            for term, times in terms[before].items() if through else ((before, 1),):
                inputs[term] = inputs.get(term, 0) + times * count
        terms[node] = inputs
    used = {term for node in order if node not in identity for term in terms[node]}
    kept = [node for node in order if node not in identity or node in used]
    index = {node: i for i, node in enumerate(kept)}
    labels = [["add" if node in identity else ops[node], joins[node]] for node in kept]
    feeds = [{index[term]: count for term, count in terms[node].items()} for node in kept]
    _add_shared([cell.weights[node] for node in kept], labels, feeds)
    return labels, feeds


def _add_shared(weights: Sequence[object], labels: list[list[str]], feeds: list[dict[int, int]]) -> None:
    sharing = defaultdict(list)
    for node, weight in enumerate(weights):
        if weight is not None:
            sharing[weight].append(node)
    for users in sharing.values():
        if len(users) > 1:
            for user in users:
                feeds[user][len(labels)] = 1
            feeds.append({})
            labels.append(["weights"])
