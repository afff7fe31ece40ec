"""Networks of `conv-chain`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.task import TaskShape

from ..layers import POOLED
from .spec import ConvLayer, unread_layers

Size = tuple[int, int]
Padding = tuple[int, int, int, int]
"""Zeros on the left, right, top and bottom, as `torch.nn.functional.pad` takes them."""
IMAGE = -1
"""Index of the image among the layers' inputs."""


class ConvChainNetwork(nn.Module):
    """Convolutions with skip connections, average pool to 3×3, linear head.

    From n pixels a layer of stride s computes ceil(n / s), whatever the size of its filters.
    """

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
        ends = unread_layers(spec)
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
    """Convolution with 'same' padding, normalisation, ReLU. It has no bias because the normalisation has one."""
    padding = (layer.kernel[0] // 2, layer.kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(channels, layer.filters, layer.kernel, stride=layer.stride, padding=padding, bias=False),
        nn.BatchNorm2d(layer.filters, track_running_stats=False),
        nn.ReLU(),
    )


def _largest(sources: Sequence[int], sizes: dict[int, Size]) -> Size:
    return max(sizes[source][0] for source in sources), max(sizes[source][1] for source in sources)


def _padded(sources: Sequence[int], sizes: dict[int, Size]) -> list[tuple[int, Padding]]:
    """Each source with the padding that makes it as large as the largest, with an odd zero on the right or bottom."""
    height, width = _largest(sources, sizes)
    return [(source, (*_around(width - sizes[source][1]), *_around(height - sizes[source][0]))) for source in sources]


def _around(missing: int) -> tuple[int, int]:
    return missing // 2, missing - missing // 2


def _concatenated(maps: dict[int, Tensor], sources: Sequence[tuple[int, Padding]]) -> Tensor:
    parts = [F.pad(maps[source], padding) if any(padding) else maps[source] for source, padding in sources]
    return torch.cat(parts, 1) if len(parts) > 1 else parts[0]
