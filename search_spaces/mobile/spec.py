"""Specs of the mobile space: inverted bottlenecks, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bottleneck:
    """One layer: a 1×1 convolution to `expansion` times the channels, a depthwise one of `kernel`, a gate on channels
    where `squeeze_excite`, and a 1×1 convolution to `channels`; what comes in is added where it has the same shape."""

    channels: int
    stride: int
    kernel: int
    expansion: int
    squeeze_excite: bool

    def adds(self, inputs: int) -> bool:
        """Whether the layer adds what comes in, of `inputs` channels, to what it computes."""
        return self.stride == 1 and inputs == self.channels


@dataclass(frozen=True)
class MobileSpec:
    """A decided architecture: the channels of the stem, and all layers in order."""

    stem: int
    layers: tuple[Bottleneck, ...]
