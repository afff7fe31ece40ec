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
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import networkx as nx

from .errors import SpaceError

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
    result = nx.DiGraph()
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
    if not nx.is_directed_acyclic_graph(result):
        raise SpaceError("the graph of a cell has a cycle; data must flow one way, from 'input' to 'output'")
    for end in ("input", "output"):
        if result and not any(_is_end(data["op"], end) for _, data in result.nodes(data=True)):
            raise SpaceError(f"the graph of a cell has no {end}; give one node the op {end!r}")
    result.remove_nodes_from([node for node, data in result.nodes(data=True) if data["op"] == NONE])
    fed = _reached(result, "input")
    used = _reached(result.reverse(copy=False), "output")
    return result.subgraph(fed & used).copy()


def canonical(graph: nx.DiGraph) -> str:
    """A text that two cells have in common exactly when they are the same labelled graph up to the names of nodes and
    weight ids, once dead nodes are dropped and identities ('skip', 'add', 'sum') are contracted into what they feed,
    and the attributes of the graphs themselves (`graph.graph`, JSON values) are equal."""
    labels, feeds = _contracted(live(graph))
    form: list[object] = [*_Labelling(labels, feeds).least()]
    if graph.graph:
        form.append(sorted(graph.graph.items()))
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False)


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


def _connect(graph: nx.DiGraph, tail: Hashable, head: Hashable, count: int) -> None:
    before = graph.edges[tail, head]["count"] if graph.has_edge(tail, head) else 0
    graph.add_edge(tail, head, count=before + count)


def _is_end(op: object, end: str) -> bool:
    return str(op) == end or str(op).startswith(f"{end}:")


def _reached(graph: nx.DiGraph, end: str) -> set[Hashable]:
    ends = [node for node, data in graph.nodes(data=True) if _is_end(data["op"], end)]
    return set(ends).union(*(nx.descendants(graph, node) for node in ends))


def _join(data: Mapping[str, object]) -> str:
    return str(data.get("join", "concat" if data["op"] == "concat" else "add"))


def _contracted(graph: nx.DiGraph) -> tuple[list[list[str]], list[dict[int, int]]]:
    """Labels of the nodes that are left, and for each what feeds it and how often; a vertex for each shared weight.

    An identity disappears into a consumer that adds. Into one that joins otherwise it may only disappear when it has
    a single input: concat(a + b) is not concat(a, b).
    """
    identity = {node for node, data in graph.nodes(data=True) if data["op"] in IDENTITY and _join(data) == "add"}
    terms: dict[Hashable, Counter[Hashable]] = {}
    for node in nx.topological_sort(graph):
        terms[node] = Counter()
        adds = _join(graph.nodes[node]) == "add"
        for before, _, count in graph.in_edges(node, data="count"):
            through = before in identity and (adds or terms[before].total() == 1)
            for term, times in terms[before].items() if through else [(before, 1)]:
                terms[node][term] += times * count
    used = {term for node in graph if node not in identity for term in terms[node]}
    kept = [node for node in graph if node not in identity or node in used]
    index = {node: i for i, node in enumerate(kept)}
    labels = [["add" if node in identity else str(graph.nodes[node]["op"]), _join(graph.nodes[node])] for node in kept]
    feeds = [{index[term]: count for term, count in terms[node].items()} for node in kept]
    sharing = defaultdict(list)
    for node in kept:
        if graph.nodes[node].get("weights") is not None:
            sharing[graph.nodes[node]["weights"]].append(index[node])
    for users in sharing.values():
        if len(users) > 1:
            feeds.append({})
            for user in users:
                feeds[user][len(labels)] = 1
            labels.append(["weights"])
    return labels, feeds


# Canonical labelling


class _Labelling:
    """The least list of edges over the numberings that colour refinement leaves open.

    Individualise and refine, with automorphisms found at equal leaves pruning the search: McKay, "Practical graph
    isomorphism" (1981), without its node invariants, which graphs of some twenty nodes do not need.
    """

    def __init__(self, labels: Sequence[list[str]], feeds: Sequence[Mapping[int, int]]) -> None:
        self._labels = labels
        self._feeds = feeds
        self._feeds_on: list[dict[int, int]] = [{} for _ in labels]
        for head, tails in enumerate(feeds):
            for tail, count in tails.items():
                self._feeds_on[tail][head] = count
        self._leaves: dict[tuple[tuple[int, int, int], ...], tuple[list[int], list[int]]] = {}
        self._automorphisms: list[list[int]] = []

    def least(self) -> tuple[list[list[str]], tuple[tuple[int, int, int], ...]]:
        """The labels in canonical order, and the edges (tail, head, count) in those numbers."""
        ranks = {label: i for i, label in enumerate(sorted({tuple(label) for label in self._labels}))}
        self._descend([ranks[tuple(label)] for label in self._labels], [])
        edges = min(self._leaves)
        return [self._labels[node] for node in self._leaves[edges][0]], edges

    def _descend(self, colours: list[int], path: list[int]) -> int:
        """Explores below the nodes told apart so far (`path`); returns the depth at which to go on."""
        colours = self._refined(colours)
        members = defaultdict(list)
        for node, colour in enumerate(colours):
            members[colour].append(node)
        tied = [colour for colour, nodes in members.items() if len(nodes) > 1]
        if not tied:
            return self._leaf(colours, path)
        tried: set[int] = set()
        for node in members[min(tied)]:
            if node in self._orbits(tried, path):
                continue
            tried.add(node)
            apart = [2 * colour + (other != node) for other, colour in enumerate(colours)]
            depth = self._descend(apart, [*path, node])
            if depth < len(path):
                return depth
        return len(path)

    def _refined(self, colours: list[int]) -> list[int]:
        """Splits colours by the colours around each node until nothing splits: numbers from 0, in a canonical order."""
        while True:
            signatures = [
                (
                    colour,
                    tuple(sorted((colours[tail], count) for tail, count in self._feeds[node].items())),
                    tuple(sorted((colours[head], count) for head, count in self._feeds_on[node].items())),
                )
                for node, colour in enumerate(colours)
            ]
            ranks = {signature: i for i, signature in enumerate(sorted(set(signatures)))}
            if len(ranks) == len(set(colours)):
                return [ranks[signature] for signature in signatures]
            colours = [ranks[signature] for signature in signatures]

    def _leaf(self, colours: list[int], path: list[int]) -> int:
        order = sorted(range(len(colours)), key=colours.__getitem__)
        edges = tuple(
            sorted(
                (colours[tail], colours[head], n) for head, tails in enumerate(self._feeds) for tail, n in tails.items()
            )
        )
        if edges not in self._leaves:
            self._leaves[edges] = order, path
            return len(path)
        # Two numberings with equal edges: their difference is an automorphism, and what is below the branch where
        # they parted looks the same on both sides.
        same, other_path = self._leaves[edges]
        moved = dict(zip(same, order, strict=True))
        self._automorphisms.append([moved[node] for node in range(len(order))])
        return next(i for i, (one, other) in enumerate(zip(path, other_path, strict=True)) if one != other)

    def _orbits(self, nodes: set[int], path: list[int]) -> set[int]:
        """The nodes that known automorphisms which fix `path` carry one of `nodes` to."""
        fixing = [moved for moved in self._automorphisms if all(moved[node] == node for node in path)]
        reached, new = set(nodes), list(nodes)
        while new:
            node = new.pop()
            for moved in fixing:
                if moved[node] not in reached:
                    reached.add(moved[node])
                    new.append(moved[node])
        return reached


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
