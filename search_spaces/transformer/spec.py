"""Specs of `transformer`: encoder layers and the encoder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EncoderLayer:
    """Decided layer.

    Attributes:
        heads: Number of attention heads.
        hidden: Hidden units of the feed-forward part.
    """

    heads: int
    hidden: int


@dataclass(frozen=True)
class Encoder:
    """Decided architecture.

    Attributes:
        width: Features of a token between layers.
        layers: Layers, in order.
    """

    width: int
    layers: tuple[EncoderLayer, ...]
