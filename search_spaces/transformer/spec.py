"""Specs of the transformer: encoder layers and the encoder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderLayer:
    """A decided layer: attention in so many heads, and the numbers in the middle of its feed-forward part."""

    heads: int
    hidden: int


@dataclass(frozen=True)
class Encoder:
    """A decided architecture: its layers, and the numbers that each token is everywhere between them."""

    width: int
    layers: tuple[EncoderLayer, ...]
