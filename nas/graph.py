"""Cells as labelled graphs: what is live in them, when two are the same network, and how they look.

A cell is a networkx DiGraph without cycles. Each node adds up what comes in and applies its `op` to the sum; the ops
'input' and 'output' (or 'input:left', …, where ends must be told apart) mark the ends. Optional attributes:

node `join`     how inputs are put together instead of added, such as 'concat' (the default of the op 'concat')
node `weights`  an id; nodes of the same id share their parameters
edge `count`    how often the value goes in (x + x is not x), 1 where absent; a MultiDiGraph's parallel edges count too
edge `op`       an operation on the edge, as in NAS-Bench-201 (arXiv 2001.00326); `edges_to_nodes` gives it a node

Attributes of the graph as a whole say what else makes the network, such as DiGraph(width=16, num_cells=3).
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import networkx as nx

from .errors import SpaceError
from .labelling import Labelling

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IDENTITY = frozenset({"skip", "add", "sum"})
NONE = "none"
PALETTE = ("#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5", "#e0c2b8", "#f7b6d2", "#dbdb8d", "#9edae5", "#d9d9d9")
ENDS_COLOUR = "#eeeeee"
GAP, ROW, BOX = 0.55, 0.75, 0.42  # inches: between columns, between rows, a box's height


def edges_to_nodes(graph: nx.DiGraph) -> nx.DiGraph:
    """The same cell with every operation on a node: an edge's op becomes a node between its ends, an edge with the op
    'none' goes, and a node without an op becomes 'add'. Parallel edges become one with their `count`."""
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
    """What has an effect: the nodes on a path from an input to an output, without 'none', ops on nodes. Empty where no
    path is left. Raises SpaceError when there is a cycle, or nodes but no input or output among them."""
    result = edges_to_nodes(graph)
    names = list(result)
    return result.subgraph([names[node] for node in _live(_plain(result))]).copy()


def canonical(graph: nx.DiGraph) -> str:
    """A text that two cells have in common exactly when they are the same labelled graph up to the names of nodes and
    weight ids, once dead nodes are dropped and identities ('skip', 'add', 'sum') are contracted into what they feed.

    What tells networks of one cell apart, such as their width, are attributes of the graph itself (`graph.graph`).
    They are part of the text; their values are plain JSON.
    """
    cell = _plain(graph)
    labels, feeds = _contracted(cell, _live(cell))
    form: list[object] = [*Labelling(labels, feeds).least()]
    if graph.graph:
        form.append(sorted(graph.graph.items()))
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False)


def walks(graph: nx.DiGraph, longest: int) -> dict[tuple[str, ...], int]:
    """How often each sequence of at most `longest` operations occurs along the edges of `canonical`'s cell, ends
    included: ('input', 'conv', 'pool') once for each way to go from an input through a conv to a pool."""
    cell = _plain(graph)
    labels, feeds = _contracted(cell, _live(cell))
    ending: list[dict[tuple[str, ...], int]] = [{(label[0],): 1} for label in labels]
    total: dict[tuple[str, ...], int] = {}
    for _ in range(longest):
        longer: list[dict[tuple[str, ...], int]] = []
        for found, label, own in zip(ending, labels, feeds, strict=True):
            for walk, times in found.items():
                total[walk] = total.get(walk, 0) + times
            after: dict[tuple[str, ...], int] = {}
            for before, count in own.items():
                for walk, times in ending[before].items():
                    on = (*walk, label[0])
                    after[on] = after.get(on, 0) + count * times
            longer.append(after)
        ending = longer
    return total


def to_dot(graph: nx.DiGraph) -> str:
    """The cell in Graphviz's language, left to right; the same text whatever order nodes and edges were added in."""
    cell = edges_to_nodes(graph)
    lines = ["digraph cell {", "  rankdir=LR;", '  node [shape=box, style="rounded,filled", fontname="Helvetica"];']
    colours = _colours(data["op"] for _, data in cell.nodes(data=True))
    for layer in _layers(cell):
        for node in layer:
            label, colour = _label(cell.nodes[node]), colours[str(cell.nodes[node]["op"])]
            lines.append(f'  {_quoted(node)} [label={_quoted(label)}, fillcolor="{colour}"];')
    for tail, head, count in sorted((str(t), str(h), c) for t, h, c in cell.edges(data="count")):
        many = f' [label="×{count}"]' if count > 1 else ""
        lines.append(f"  {_quoted(tail)} -> {_quoted(head)}{many};")
    return "\n".join([*lines, "}", ""])


def draw(graph: nx.DiGraph, path: Path | BinaryIO) -> None:
    """Writes the cell as a PNG, inputs on the left. `path` may also be a binary file open for writing."""
    # Figure and not pyplot: pyplot keeps global state and may need a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cell = edges_to_nodes(graph)
    places, routes, widths = _layout(cell)
    width = max((x + widths[node] / 2 for node, (x, _) in places.items() if node in widths), default=1.0)
    rows = [y for _, y in places.values()] or [0.0]
    size = (width + 0.15, max(rows) - min(rows) + ROW + 0.15)
    figure = Figure(figsize=size, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, size[0])
    axes.set_ylim(min(rows) - size[1] / 2 + (max(rows) - min(rows)) / 2, max(rows) + ROW / 2 + 0.075)
    _draw_edges(axes, cell, places, routes, widths)
    _draw_nodes(axes, cell, places, widths)
    figure.savefig(path, format="png", dpi=min(150.0, 8000.0 / max(size)), metadata={"Software": None})


# Pruning and contraction


class _Plain(NamedTuple):
    """A cell in lists with an entry a node, those of ops on edges last. With networkx a key took twice the time.

    inputs  for each node, which nodes go in and how often
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
    """The nodes on a path from an input to an output, each after what it takes in. Raises as `live`."""
    order = _sorted(cell.inputs)
    for end in ("input", "output"):
        if order and not any(_is_end(op, end) for op in cell.ops):
            raise SpaceError(f"the graph of a cell has no {end}; give one node the op {end!r}")
    fed: set[int] = set()
    for node in order:
        op = cell.ops[node]
        if op != NONE and (_is_end(op, "input") or not fed.isdisjoint(cell.inputs[node])):
            fed.add(node)
    used: set[int] = set()
    for node in reversed(order):
        if node in fed and (node in used or _is_end(cell.ops[node], "output")):
            used.add(node)
            used.update(cell.inputs[node])
    return [node for node in order if node in fed and node in used]


def _sorted(inputs: Sequence[Mapping[int, int]]) -> list[int]:
    """All nodes, each after what it takes in (Kahn's algorithm)."""
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


def _is_end(op: str, end: str) -> bool:
    return op == end or op.startswith(f"{end}:")


def _contracted(cell: _Plain, order: Sequence[int]) -> tuple[list[list[str]], list[dict[int, int]]]:
    """Labels of the nodes that are left, and for each what feeds it and how often; a vertex for each shared weight.

    An identity disappears into a consumer that adds. Into one that joins otherwise it may only disappear when it has
    a single input: concat(a + b) is not concat(a, b).
    """
    ops, joins = cell.ops, cell.joins
    identity = {node for node in order if ops[node] in IDENTITY and joins[node] == "add"}
    terms: dict[int, dict[int, int]] = {}
    for node in order:
        own: dict[int, int] = {}
        for before, count in cell.inputs[node].items():
            if before not in terms:  # dead
                continue
            through = before in identity and (joins[node] == "add" or sum(terms[before].values()) == 1)
            for term, times in terms[before].items() if through else ((before, 1),):
                own[term] = own.get(term, 0) + times * count
        terms[node] = own
    used = {term for node in order if node not in identity for term in terms[node]}
    kept = [node for node in order if node not in identity or node in used]
    index = {node: i for i, node in enumerate(kept)}
    labels = [["add" if node in identity else ops[node], joins[node]] for node in kept]
    feeds = [{index[term]: count for term, count in terms[node].items()} for node in kept]
    _add_shared([cell.weights[node] for node in kept], labels, feeds)
    return labels, feeds


def _add_shared(weights: Sequence[object], labels: list[list[str]], feeds: list[dict[int, int]]) -> None:
    sharing = defaultdict(list)
    for node, own in enumerate(weights):
        if own is not None:
            sharing[own].append(node)
    for users in sharing.values():
        if len(users) > 1:
            for user in users:
                feeds[user][len(labels)] = 1
            feeds.append({})
            labels.append(["weights"])


# Pictures


def _quoted(text: object) -> str:
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _label(data: Mapping[str, object]) -> str:
    shared = f"\nshared: {data['weights']}" if data.get("weights") is not None else ""
    return f"{data['op']}{shared}"


def _layers(graph: nx.DiGraph) -> list[list[Hashable]]:
    return [sorted(layer, key=str) for layer in nx.topological_generations(graph)]


def _colours(ops: Iterable[object]) -> dict[str, str]:
    """A colour for each op: the op's own wherever possible, so that pictures of one space agree."""
    colours: dict[str, str] = {}
    for op in sorted({str(op) for op in ops}):
        if _is_end(op, "input") or _is_end(op, "output"):
            colours[op] = ENDS_COLOUR
            continue
        first = zlib.crc32(op.encode()) % len(PALETTE)
        wheel = [*PALETTE[first:], *PALETTE[:first]]
        colours[op] = next((colour for colour in wheel if colour not in colours.values()), wheel[0])
    return colours


Place = tuple[float, float]
Edge = tuple[Hashable, Hashable]


def _layout(
    graph: nx.DiGraph,
) -> tuple[dict[Hashable, Place], dict[Edge, list[Hashable]], dict[Hashable, float]]:
    """Sugiyama's: nodes in layers, long edges through a bend in each layer they pass, bends and nodes ordered by the
    mean place of their neighbours. Returns places in inches, the bends of each edge, and the widths of the boxes."""
    layers = _layers(graph)
    depth = {node: i for i, layer in enumerate(layers) for node in layer}
    routes: dict[Edge, list[Hashable]] = {}
    links: list[Edge] = []
    for tail, head in sorted(graph.edges, key=str):
        bends: list[Hashable] = [(tail, head, i) for i in range(depth[tail] + 1, depth[head])]
        for i, bend in enumerate(bends, depth[tail] + 1):
            layers[i].append(bend)
        routes[tail, head] = bends
        links += itertools.pairwise([tail, *bends, head])
    row = _ordered(layers, links)
    widths = {node: 0.25 + 0.085 * max(map(len, _label(graph.nodes[node]).split("\n"))) for node in graph}
    places: dict[Hashable, Place] = {}
    left = 0.15
    for layer in layers:
        width = max((widths[node] for node in layer if node in widths), default=0.0)
        places |= {node: (left + width / 2, row[node] * ROW) for node in layer}
        left += width + GAP
    return places, routes, widths


def _ordered(layers: list[list[Hashable]], links: Sequence[Edge]) -> dict[Hashable, float]:
    """Sorts each layer by the mean row of its neighbours, to and fro; returns rows, each layer centred on 0."""
    tails, heads = defaultdict(list), defaultdict(list)
    for tail, head in links:
        tails[head].append(tail)
        heads[tail].append(head)
    row: dict[Hashable, float] = {}

    def settle(layer: list[Hashable]) -> None:
        row.update((node, (len(layer) - 1) / 2 - i) for i, node in enumerate(layer))

    for layer in layers:
        settle(layer)
    for _ in range(6):
        for sweep, around in ((layers, tails), (layers[::-1], heads)):
            for layer in sweep:
                means = {node: sum(row[other] for other in around[node]) / max(1, len(around[node])) for node in layer}
                layer.sort(key=lambda node, means=means: -means[node])  # type: ignore[misc]  # bound per layer
                settle(layer)
    return row


def _draw_edges(
    axes: Axes,
    graph: nx.DiGraph,
    places: Mapping[Hashable, Place],
    routes: Mapping[Edge, Sequence[Hashable]],
    widths: Mapping[Hashable, float],
) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    for (tail, head), bends in routes.items():
        (x0, y0), (x1, y1) = places[tail], places[head]
        points = [(x0 + widths[tail] / 2, y0), *(places[bend] for bend in bends), (x1 - widths[head] / 2, y1)]
        vertices = [points[0]]
        for (ax, ay), (bx, by) in itertools.pairwise(points):
            reach = (bx - ax) / 2
            vertices += [(ax + reach, ay), (bx - reach, by), (bx, by)]
        curve = Curve(vertices, [Curve.MOVETO, *[Curve.CURVE4] * (len(vertices) - 1)])
        axes.add_patch(
            FancyArrowPatch(path=curve, arrowstyle="-|>", mutation_scale=11, color="#555555", linewidth=1.1, zorder=1)
        )
        count = graph.edges[tail, head]["count"]
        if count > 1:
            middle = vertices[len(vertices) // 2]
            axes.text(*middle, f"×{count}", fontsize=8, ha="center", va="bottom", color="#333333", zorder=4)


def _draw_nodes(
    axes: Axes, graph: nx.DiGraph, places: Mapping[Hashable, Place], widths: Mapping[Hashable, float]
) -> None:
    from matplotlib.patches import FancyBboxPatch

    colours = _colours(data["op"] for _, data in graph.nodes(data=True))
    for node, width in widths.items():
        x, y = places[node]
        axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - BOX / 2),
                width,
                BOX,
                boxstyle="round,pad=0,rounding_size=0.1",
                facecolor=colours[str(graph.nodes[node]["op"])],
                edgecolor="#333333",
                linewidth=1.0,
                zorder=2,
            )
        )
        label = _label(graph.nodes[node]).replace("$", r"\$")
        axes.text(x, y, label, fontsize=9, ha="center", va="center", color="black", zorder=3, linespacing=1.0)
