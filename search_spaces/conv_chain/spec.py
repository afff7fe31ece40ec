"""Specs of `conv-chain`: convolution layers and their skip connections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConvLayer:
    """Decided layer; an architecture is a tuple of them.

    Attributes:
        kernel: Height and width of the filters.
        stride: Vertical and horizontal stride.
        filters: Number of filters, which is the number of output channels.
        inputs: Indices of the earlier layers whose outputs the layer reads, concatenated. If empty, it reads the image.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    filters: int
    inputs: tuple[int, ...]


def unread_layers(spec: tuple[ConvLayer, ...]) -> tuple[int, ...]:
    """Indices of the layers whose output no layer reads; the head reads them."""
    read = {source for layer in spec for source in layer.inputs}
    return tuple(index for index in range(len(spec)) if index not in read)
