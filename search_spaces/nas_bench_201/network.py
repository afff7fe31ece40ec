"""Networks of `nas-bench-201` (arXiv 2001.00326, figure 1 and section 2.1)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from nas.task import TaskShape

from ..dense_cell import live_edges

STAGES = 3


def conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """ReLU, convolution with 'same' padding, normalisation, in this order, unlike the `conv` of other spaces."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, track_running_stats=False),
    )


def operation(name: str, width: int) -> nn.Module:
    """Operation of one edge: (images, channels, height, width), in and out of the same shape."""
    match name:
        case "skip_connect":
            return nn.Identity()
        case "nor_conv_1x1":
            return conv(width, width, 1)
        case "nor_conv_3x3":
            return conv(width, width, 3)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    raise ValueError(f"{name!r} is no operation of a cell")


class Cell(nn.Module):
    """Cell whose node 0 is the input, whose nodes add up their edges, and whose node 3 is the output.

    The output is zero if no path leads to it. With `prune`, edges on no path from input to output are left out.
    Without it, they have weights and are not computed: the published networks have these edges and count their
    weights. (Unlike there, a convolution of zeros does not add the shift of its normalisation.)
    """

    def __init__(self, operations: Mapping[tuple[int, int], str], width: int, *, prune: bool) -> None:
        super().__init__()
        self.edges = live_edges(dict(operations), 3)
        self.operations = nn.ModuleDict(
            {f"edge{s}_{t}": operation(operations[s, t], width) for s, t in (self.edges if prune else operations)}
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes = {0: x}
        for source, target in self.edges:
            y = self.operations[f"edge{source}_{target}"](nodes[source])
            nodes[target] = nodes[target] + y if target in nodes else y
        return nodes[3] if self.edges else x * 0


class Reduction(nn.Module):
    """Residual block of two 3×3 convolutions that halves height and width, rounded up, and changes the channels.

    Its shortcut is a 2×2 average pool, of fewer pixels at the border of images of odd size, and a 1×1 convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = conv(inputs, outputs, 3, stride=2)
        self.second = conv(outputs, outputs, 3)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False), nn.Conv2d(inputs, outputs, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shortcut(x) + self.second(self.first(x))
        return y


class Network(nn.Module):
    """Stem, three stages of cells with a reduction between stages, spatial mean, linear head."""

    def __init__(
        self, operations: Mapping[tuple[int, int], str], width: int, cells: int, task: TaskShape, *, prune: bool
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(task.input_shape[0], width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width, track_running_stats=False),
        )
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for stage in range(STAGES):
            if stage:
                layers[f"reduction{stage}"] = Reduction(width, 2 * width)
                width *= 2
            for cell in range(cells):
                layers[f"cell{stage}_{cell}"] = Cell(operations, width, prune=prune)
        self.stages = nn.Sequential(layers)
        self.last = nn.Sequential(
            nn.BatchNorm2d(width, track_running_stats=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear(width, task.num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.last(self.stages(self.stem(x))))
        return logits
