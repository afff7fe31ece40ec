"""The networks of `nas-bench-101` (arXiv 1902.09635, sections 2.1 and 2.2, and the authors' code)."""

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
    """One vertex of a cell: (images, width, height, width) in and out of the same shape."""
    match name:
        case "conv3x3":
            return conv(width, width, 3)
        case "conv1x1":
            return conv(width, width, 1)
        case "maxpool3x3":
            return nn.MaxPool2d(3, stride=1, padding=1)
    raise ValueError(f"{name!r} is no operation of a cell")


def vertex_channels(cell: Cell, inputs: int, outputs: int) -> list[int]:
    """The channels of each vertex: those that lead to the output divide its channels, the others have as many as the
    widest that they lead to."""
    last = len(cell.operations) + 1
    channels = [inputs, *[0] * (last - 1), outputs]
    ends = [source for source, target in cell.edges if target == last and source]
    wider = _wider(cell, ends, outputs % len(ends)) if ends else []
    for vertex in range(last - 1, 0, -1):
        if vertex in ends:
            channels[vertex] = outputs // len(ends) + (vertex in wider)
        else:
            channels[vertex] = max(channels[target] for source, target in cell.edges if source == vertex)
    return channels


def _wider(cell: Cell, ends: Sequence[int], number: int) -> list[int]:
    """The `number` of the ends that have a channel more, where a division leaves some over.

    The authors give them to the first, so that a vertex is never narrower than what it leads to. Which is first among
    those that do not lead to each other depends on how the cell is written; here it goes by the graph, so that
    isomorphic cells are one network.
    """
    depths = [0] * (len(cell.operations) + 2)
    for source, target in cell.edges:  # sorted by source: all edges into it came before
        depths[target] = max(depths[target], depths[source] + 1)
    chosen: list[int] = []

    def place(vertex: int) -> tuple[int, str]:
        graph = cell.graph()
        for marked in (*chosen, vertex):
            graph.nodes[marked]["op"] += " and a channel more"
        return depths[vertex], canonical(graph)

    for _ in range(number):
        chosen.append(min((vertex for vertex in ends if vertex not in chosen), key=place))
    return chosen


class CellModule(nn.Module):
    """A vertex adds up what comes in: of wider vertices the first channels, of the input a 1×1 convolution. The output
    concatenates, and adds a 1×1 convolution of the input where that leads to it."""

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
    """Stem, three stacks of cells with a max pool before all but the first, spatial mean, linear head."""

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
