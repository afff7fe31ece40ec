"""Networks of `mobile`.

Activations are swish and sigmoid. MobileNetV3 takes their piecewise linear forms for speed, but torch cannot
differentiate the hard sigmoid twice.
"""

from __future__ import annotations

from torch import Tensor, nn

from nas.task import TaskShape

from ..layers import POOLED
from .spec import Bottleneck, MobileSpec

SQUEEZE = 4
"""Ratio of the channels that a gate acts on to its inner channels (MobileNetV3, section 5.3)."""
LAST = 2
"""Ratio of the last convolution's output channels to its input channels."""


def convolve(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution with 'same' padding, normalisation. It has no bias because the normalisation has one."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs, track_running_stats=False)]


class SqueezeExcite(nn.Module):
    """Gate that multiplies each channel by a number in (0, 1), computed from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // SQUEEZE)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            nn.ReLU(),
            nn.Conv2d(inner, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(x)
        return y


class BottleneckModule(nn.Module):
    """Inverted bottleneck.

    (images, inputs, height, width) to (images, channels, ceil(height / stride), ceil(width / stride)).
    """

    def __init__(self, inputs: int, layer: Bottleneck) -> None:
        super().__init__()
        inner = inputs * layer.expansion
        depthwise = convolve(inner, inner, layer.kernel, stride=layer.stride, groups=inner)
        self.layers = nn.Sequential(
            *convolve(inputs, inner, 1),
            nn.SiLU(),
            *depthwise,
            nn.SiLU(),
            *([SqueezeExcite(inner)] if layer.squeeze_excite else []),
            *convolve(inner, layer.channels, 1),
        )
        self.residual = layer.has_residual(inputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class MobileNetwork(nn.Module):
    """Stem of stride 2, the bottlenecks, a 1×1 convolution, average pool to 3×3, linear head."""

    def __init__(self, spec: MobileSpec, task: TaskShape) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolve(task.input_shape[0], spec.stem, 3, stride=2), nn.SiLU())
        inputs = spec.stem
        layers = []
        for layer in spec.layers:
            layers.append(BottleneckModule(inputs, layer))
            inputs = layer.channels
        self.layers = nn.Sequential(*layers)
        self.last = nn.Sequential(*convolve(inputs, LAST * inputs, 1), nn.SiLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(POOLED), nn.Flatten())
        self.head = nn.Linear(LAST * inputs * POOLED**2, task.num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.last(self.layers(self.stem(x)))))
        return logits
