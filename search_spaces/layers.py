"""Convolution layers that several spaces share."""

from __future__ import annotations

from torch import nn

POOLED = 3
"""Height and width of the features that the head sees. A spatial mean would lose where a stroke is in the image, which
tells classes of few examples apart."""


def conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution with 'same' padding, normalisation, ReLU. It has no bias because the normalisation has one."""
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs, track_running_stats=False),
        nn.ReLU(),
    )
