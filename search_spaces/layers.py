"""Convolution and pooling layers that several spaces use."""

from __future__ import annotations

from torch import nn

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
