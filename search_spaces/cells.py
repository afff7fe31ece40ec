"""The networks of `few-shot-cell`. Kept apart from the space, which is pure Python without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from nas.protocols import TaskShape

if TYPE_CHECKING:
    from .few_shot_cell import CellStack

POOLED = 3
"""Height and width of the features that the head sees: with few examples, where a stroke is tells classes apart."""


def conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution with 'same' padding, normalisation, ReLU. No bias: the normalisation has one."""
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs, track_running_stats=False),
        nn.ReLU(),
    )


def separable(width: int) -> nn.Sequential:
    """Depthwise 3×3, then 1×1, normalisation, ReLU."""
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), *conv(width, width, 1))


def operation(name: str, width: int) -> nn.Module:
    """One edge of a cell: (images, width, height, width) in and out of the same shape."""
    match name:
        case "skip":
            return nn.Identity()
        case "conv1":
            return conv(width, width, 1)
        case "conv3":
            return conv(width, width, 3)
        case "sep3":
            return separable(width)
        case "dil3":
            return conv(width, width, 3, dilation=2)
        case "avg_pool":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        case "max_pool":
            return nn.MaxPool2d(3, stride=1, padding=1)
    raise ValueError(f"{name!r} is no operation of a cell")


class Cell(nn.Module):
    """A small directed acyclic graph of operations: node 0 is the input, each node sums its edges, the last is output.

    Edges that no input reaches, or that reach no output, are left out: they would hold weights without a use.
    """

    def __init__(self, operations: dict[tuple[int, int], str], width: int) -> None:
        super().__init__()
        self.last = max(target for _, target in operations)
        self.edges = live(operations, self.last)
        self.operations = nn.ModuleDict(
            {f"edge{source}_{target}": operation(operations[source, target], width) for source, target in self.edges}
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes = {0: x}
        for source, target in self.edges:
            y = self.operations[f"edge{source}_{target}"](nodes[source])
            nodes[target] = nodes[target] + y if target in nodes else y
        return nodes[self.last]


class CellNetwork(nn.Module):
    """Stem, cells with places of reduction, average pool to 3×3, linear head."""

    def __init__(self, spec: CellStack, edges: tuple[tuple[int, int], ...], task: TaskShape) -> None:
        super().__init__()
        operations = {edge: name for edge, name in zip(edges, spec.cell, strict=True) if name != "none"}
        self.stem = conv(task.input_shape[0], spec.width, 3, stride=2)
        layers: list[nn.Module] = []
        for index in range(spec.num_cells):
            layers.append(Cell(operations, spec.width))
            if index in spec.reductions:
                layers.append(nn.MaxPool2d(2))
        self.cells = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(POOLED), nn.Flatten())
        self.head = nn.Linear(spec.width * POOLED**2, task.num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.pool(self.cells(self.stem(x)))
        logits: Tensor = self.head(features)
        return logits


def live(operations: dict[tuple[int, int], str], last: int) -> list[tuple[int, int]]:
    """The edges on a path from node 0 to node `last`, in the order in which they can be computed."""
    forward, backward = {0}, {last}
    for source, target in sorted(operations, key=lambda edge: edge[1]):
        if source in forward:
            forward.add(target)
    for source, target in sorted(operations, key=lambda edge: -edge[0]):
        if target in backward:
            backward.add(source)
    live = [edge for edge in operations if edge[0] in forward and edge[1] in backward]
    return sorted(live, key=lambda edge: (edge[1], edge[0]))
