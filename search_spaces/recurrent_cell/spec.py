"""Specs of `recurrent-cell`: a tree of merges and activations."""

from __future__ import annotations

from dataclasses import dataclass

COMBINATIONS = ("add", "elem_mult")
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu")


@dataclass(frozen=True)
class Merge:
    """Combination of two values, followed by an activation."""

    combination: str
    activation: str


@dataclass(frozen=True)
class CellTree:
    """Decided cell of base n.

    Attributes:
        nodes: The 2n − 1 merges. Leaves 0 to n − 1 merge a linear map of x and another of h; node n + i merges the
            nodes 2i and 2i + 1. The value of the last node is the new h.
        inject: Merge of the old c into the value of a node.
        inject_at: Node that the old c is merged into.
        cell_from: Node whose value before its activation is the new c.
        width: Features of h and of c.
    """

    nodes: tuple[Merge, ...]
    inject: Merge
    inject_at: int
    cell_from: int
    width: int


def children(node: int, base: int) -> tuple[int, int] | None:
    """The two nodes that an inner node merges; None if it is a leaf."""
    return None if node < base else (2 * (node - base), 2 * (node - base) + 1)
