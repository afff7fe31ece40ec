"""Specs of the recurrent cell: a tree of merges and activations."""

from __future__ import annotations

from dataclasses import dataclass

COMBINATIONS = ("add", "elem_mult")
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu")


@dataclass(frozen=True)
class Merge:
    """How two values become one: combined, then put through an activation."""

    combination: str
    activation: str


@dataclass(frozen=True)
class CellTree:
    """A decided cell of base n.

    nodes      2n − 1 merges: nodes 0 to n − 1 merge a product of weights with x and another with h, node n + i the
               nodes 2i and 2i + 1; the last is the new h
    inject     how the old c is merged into a node's value
    inject_at  the node that it is merged into
    cell_from  the node whose value before its activation is the new c
    width      numbers in h and in c
    """

    nodes: tuple[Merge, ...]
    inject: Merge
    inject_at: int
    cell_from: int
    width: int


def children(place: int, base: int) -> tuple[int, int] | None:
    """The two nodes that an inner node merges; None of a leaf."""
    return None if place < base else (2 * (place - base), 2 * (place - base) + 1)
