"""Specs of the convolution chain: its layers and their skip connections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConvLayer:
    """A decided layer.

    kernel   height and width of its filters
    stride   down and right
    filters  how many, which is its output's channels
    inputs   the earlier layers, by index, whose outputs it is given side by side; none: it is given the image
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    filters: int
    inputs: tuple[int, ...]


def loose_ends(spec: tuple[ConvLayer, ...]) -> tuple[int, ...]:
    """The layers whose output no layer uses, which the head is given."""
    used = {source for layer in spec for source in layer.inputs}
    return tuple(index for index in range(len(spec)) if index not in used)
