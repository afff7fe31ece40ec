"""Networks of `few-shot-cell`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from nas.task import TaskShape

from ..dense_cell import live_edges
from ..layers import POOLED, conv

if TYPE_CHECKING:
    from .spec import CellStack


def separable(width: int) -> nn.Sequential:
    """Depthwise 3×3 convolution, 1×1 convolution, normalisation, ReLU."""
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), *conv(width, width, 1))


def operation(name: str, width: int) -> nn.Module:
    """Operation of one edge: (images, channels, height, width), in and out of the same shape."""
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
    """Directed acyclic graph of operations: node 0 is the input, each node adds up its edges, the last is the output.

    Edges on no path from input to output are left out, because their weights would have no effect.
    """

    def __init__(self, operations: dict[tuple[int, int], str], width: int) -> None:
        super().__init__()
        self.last = max(target for _, target in operations)
        self.edges = live_edges(operations, self.last)
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
    """Stem of stride 2, cells with max pools after some, average pool to 3×3, linear head."""

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
