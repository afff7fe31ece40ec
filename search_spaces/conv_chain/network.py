"""The network of `conv-chain`. Kept apart from the space, which is pure Python without torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.task import TaskShape

from ..layers import POOLED
from .spec import ConvLayer, loose_ends

Size = tuple[int, int]
Padding = tuple[int, int, int, int]
IMAGE = -1


class ConvChainNetwork(nn.Module):
    """Convolutions with skip connections, average pool to 3×3, linear head. Of an input of n pixels and a stride s a
    layer makes ceil(n / s), whatever its filter's size."""

    def __init__(self, spec: tuple[ConvLayer, ...], task: TaskShape) -> None:
        super().__init__()
        channels = {IMAGE: task.input_shape[0]}
        sizes: dict[int, Size] = {IMAGE: (task.input_shape[1], task.input_shape[2])}
        layers: list[nn.Module] = []
        self._inputs: list[list[tuple[int, Padding]]] = []
        for index, layer in enumerate(spec):
            sources = layer.inputs or (IMAGE,)
            layers.append(convolution(sum(channels[source] for source in sources), layer))
            self._inputs.append(_padded(sources, sizes))
            height, width = _largest(sources, sizes)
            sizes[index] = -(-height // layer.stride[0]), -(-width // layer.stride[1])
            channels[index] = layer.filters
        ends = loose_ends(spec)
        self._ends = _padded(ends, sizes)
        self.layers = nn.ModuleList(layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(POOLED), nn.Flatten())
        self.head = nn.Linear(sum(channels[end] for end in ends) * POOLED**2, task.num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        maps = {IMAGE: x}
        for index, layer in enumerate(self.layers):
            maps[index] = layer(_concatenated(maps, self._inputs[index]))
        logits: Tensor = self.head(self.pool(_concatenated(maps, self._ends)))
        return logits


def convolution(channels: int, layer: ConvLayer) -> nn.Sequential:
    """Convolution with 'same' padding, normalisation, ReLU. No bias: the normalisation has one."""
    padding = (layer.kernel[0] // 2, layer.kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(channels, layer.filters, layer.kernel, stride=layer.stride, padding=padding, bias=False),
        nn.BatchNorm2d(layer.filters, track_running_stats=False),
        nn.ReLU(),
    )


def _largest(sources: Sequence[int], sizes: dict[int, Size]) -> Size:
    return max(sizes[source][0] for source in sources), max(sizes[source][1] for source in sources)


def _padded(sources: Sequence[int], sizes: dict[int, Size]) -> list[tuple[int, Padding]]:
    """Each source with the zeros left, right, above and below it that make it as large as the largest; of an odd number
    the one more comes right or below."""
    height, width = _largest(sources, sizes)
    return [(source, (*_around(width - sizes[source][1]), *_around(height - sizes[source][0]))) for source in sources]


def _around(missing: int) -> tuple[int, int]:
    return missing // 2, missing - missing // 2


def _concatenated(maps: dict[int, Tensor], sources: Sequence[tuple[int, Padding]]) -> Tensor:
    parts = [F.pad(maps[source], padding) if any(padding) else maps[source] for source, padding in sources]
    return torch.cat(parts, 1) if len(parts) > 1 else parts[0]
