"""Networks of the spaces `mlp`, `mlp40` and `conv4`."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from nas.task import TaskShape

from ..layers import conv

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU}


def mlp(widths: Sequence[int], activation: str, task: TaskShape) -> nn.Module:
    """Hidden layers of these widths and a linear head: (examples, *input_shape) to (examples, outputs)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    inputs = math.prod(task.input_shape)
    for index, width in enumerate(widths):
        layers[f"hidden{index}"] = nn.Linear(inputs, width)
        layers[f"activation{index}"] = ACTIVATIONS[activation]()
        inputs = width
    layers["head"] = nn.Linear(inputs, task.num_outputs)
    return nn.Sequential(layers)


def conv4(width: int, task: TaskShape) -> nn.Module:
    """Four blocks of 3×3 convolution with stride 2, normalisation and ReLU, a spatial mean, and a linear head.

    (examples, channels, height, width) to (examples, outputs).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = task.input_shape[0]
    for index in range(4):
        layers[f"block{index}"] = conv(inputs, width, 3, stride=2)
        inputs = width
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["head"] = nn.Linear(width, task.num_outputs)
    return nn.Sequential(layers)
