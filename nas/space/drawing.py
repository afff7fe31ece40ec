"""Drawings of cells, as Graphviz text and as PNG."""

from __future__ import annotations

import itertools
import zlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import networkx as nx

from .graph import edges_to_nodes, is_end

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PALETTE = ("#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5", "#e0c2b8", "#f7b6d2", "#dbdb8d", "#9edae5", "#d9d9d9")
ENDS_COLOUR = "#eeeeee"
GAP, ROW, BOX = 0.55, 0.75, 0.42  # inches: between columns, between rows, a box's height


def to_dot(graph: nx.DiGraph) -> str:
    """The cell in Graphviz's language, left to right, independent of the order of nodes and edges."""
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


def draw(graph: nx.DiGraph, path: Path | BinaryIO, kind: Literal["png", "svg"] = "png") -> None:
    """Writes the cell as a picture, inputs on the left.

    Args:
        graph: The cell, as `nas.space.graph` describes it.
        path: A path, or a binary file that is open for writing.
        kind: Format of the picture. The same cell gives the same file.
    """
    from matplotlib import rc_context

    # Figure instead of pyplot, which keeps global state and may need a display.
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
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    with rc_context({"svg.hashsalt": "adaptnas", "svg.fonttype": "none"}):
        figure.savefig(path, format=kind, dpi=min(150.0, 8000.0 / max(size)), metadata=metadata)


def _quoted(text: object) -> str:
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _label(data: Mapping[str, object]) -> str:
    shared = f"\nshared: {data['weights']}" if data.get("weights") is not None else ""
    return f"{data['op']}{shared}"


def _layers(graph: nx.DiGraph) -> list[list[Hashable]]:
    return [sorted(layer, key=str) for layer in nx.topological_generations(graph)]


def _colours(ops: Iterable[object]) -> dict[str, str]:
    """A colour for each op, derived from its name where it is free, so that pictures of one space agree."""
    colours: dict[str, str] = {}
    for op in sorted({str(op) for op in ops}):
        if is_end(op, "input") or is_end(op, "output"):
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
    """Sugiyama's layered layout.

    Nodes stand in layers, long edges bend in each layer that they pass, and nodes and bends are ordered by the mean
    place of their neighbours.

    Returns:
        Places in inches, the bends of each edge, and the widths of the boxes in inches.
    """
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
    """Rows of nodes, 0 in the middle of a layer, sorted by the mean row of their neighbours forwards and backwards."""
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
