"""Networks of `nas-bench-101` (arXiv 1902.09635, sections 2.1 and 2.2, and the authors' code)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nas.space.graph import canonical
from nas.task import TaskShape

from ..layers import conv
from .spec import Cell

STACKS = 3


def operation(name: str, width: int) -> nn.Module:
    """Operation of one vertex: (images, channels, height, width), in and out of the same shape."""
    match name:
        case "conv3x3":
            return conv(width, width, 3)
        case "conv1x1":
            return conv(width, width, 1)
        case "maxpool3x3":
            return nn.MaxPool2d(3, stride=1, padding=1)
    raise ValueError(f"{name!r} is no operation of a cell")


def vertex_channels(cell: Cell, inputs: int, outputs: int) -> list[int]:
    """Channels of each vertex, of a cell of `inputs` and `outputs` channels.

    Vertices with an edge to the output divide its channels among them. The others have as many as the widest vertex
    that they have an edge to.
    """
    last = len(cell.operations) + 1
    channels = [inputs, *[0] * (last - 1), outputs]
    ends = [source for source, target in cell.edges if target == last and source]
    wider = _with_extra_channel(cell, ends, outputs % len(ends)) if ends else []
    for vertex in range(last - 1, 0, -1):
        if vertex in ends:
            channels[vertex] = outputs // len(ends) + (vertex in wider)
        else:
            channels[vertex] = max(channels[target] for source, target in cell.edges if source == vertex)
    return channels


def _with_extra_channel(cell: Cell, ends: Sequence[int], number: int) -> list[int]:
    """The `number` of the ends that have one channel more, where the division has a remainder.

    The authors' code takes the first ends, so that no vertex is narrower than one that it has an edge to. Which ends
    are first depends on how the cell is written, unless there is an edge between them; here it depends on the graph
    alone, so that isomorphic cells are the same network.
    """
    depths = [0] * (len(cell.operations) + 2)
    for source, target in cell.edges:  # edges are sorted by source, so that all edges into a source came before
        depths[target] = max(depths[target], depths[source] + 1)
    chosen: list[int] = []

    def rank(vertex: int) -> tuple[int, str]:
        graph = cell.graph()
        for marked in (*chosen, vertex):
            graph.nodes[marked]["op"] += " and a channel more"
        return depths[vertex], canonical(graph)

    for _ in range(number):
        chosen.append(min((vertex for vertex in ends if vertex not in chosen), key=rank))
    return chosen


class CellModule(nn.Module):
    """Cell whose vertices add up the vertices with an edge to them, and whose output concatenates them.

    Of a wider vertex the first channels are added, of the input a 1×1 convolution. With an edge from the input to the
    output, a 1×1 convolution of the input is added to the concatenation.
    """

    def __init__(self, cell: Cell, inputs: int, outputs: int) -> None:
        super().__init__()
        self.channels = vertex_channels(cell, inputs, outputs)
        self.last = len(self.channels) - 1
        self.sources = {
            target: [source for source, end in cell.edges if end == target and source]
            for target in range(1, self.last + 1)
        }
        self.projections = nn.ModuleDict(
            {f"vertex{v}": conv(inputs, self.channels[v], 1) for source, v in cell.edges if source == 0}
        )
        self.operations = nn.ModuleDict(
            {f"vertex{v}": operation(name, self.channels[v]) for v, name in enumerate(cell.operations, 1)}
        )

    def forward(self, x: Tensor) -> Tensor:
        values: dict[int, Tensor] = {}
        for vertex in range(1, self.last):
            width = self.channels[vertex]
            terms = [values[source][:, :width] for source in self.sources[vertex]]
            values[vertex] = self.operations[f"vertex{vertex}"](self._sum(vertex, terms, x))
        ends = [values[source] for source in self.sources[self.last]]
        return self._sum(self.last, [torch.cat(ends, dim=1)] if ends else [], x)

    def _sum(self, vertex: int, terms: list[Tensor], x: Tensor) -> Tensor:
        if f"vertex{vertex}" in self.projections:
            terms = [*terms, self.projections[f"vertex{vertex}"](x)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total


class Network(nn.Module):
    """Stem, three stacks of cells with a max pool between stacks, spatial mean, linear head."""

    def __init__(self, cell: Cell, width: int, cells: int, task: TaskShape) -> None:
        super().__init__()
        self.stem = conv(task.input_shape[0], width, 3)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = width
        for stack in range(STACKS):
            if stack:
                layers[f"pool{stack}"] = nn.MaxPool2d(2, ceil_mode=True)
            for index in range(cells):
                layers[f"cell{stack}_{index}"] = CellModule(cell, inputs, width * 2**stack)
                inputs = width * 2**stack
        self.stacks = nn.Sequential(layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(inputs, task.num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.stacks(self.stem(x))))
        return logits
