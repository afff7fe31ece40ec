"""Specs of `mobile`: inverted bottlenecks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bottleneck:
    """Decided layer: 1×1 convolution, depthwise convolution, optional gate, 1×1 convolution, residual connection.

    Attributes:
        channels: Output channels.
        stride: Stride of the depthwise convolution.
        kernel: Side of the depthwise convolution.
        expansion: Ratio of the inner channels to the input channels.
        squeeze_excite: Whether a squeeze-excite gate follows the depthwise convolution.
    """

    channels: int
    stride: int
    kernel: int
    expansion: int
    squeeze_excite: bool

    def has_residual(self, inputs: int) -> bool:
        """Whether the layer adds its input, of `inputs` channels, to its output; both must have the same shape."""
        return self.stride == 1 and inputs == self.channels


@dataclass(frozen=True)
class MobileSpec:
    """Decided architecture.

    Attributes:
        stem: Output channels of the first convolution.
        layers: Layers of all stages, in order.
    """

    stem: int
    layers: tuple[Bottleneck, ...]
