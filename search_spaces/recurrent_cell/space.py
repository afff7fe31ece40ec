"""The space `recurrent-cell`: the tree that computes one step of a recurrent network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.bounds import LARGEST_WIDTH, check_number, check_numbers
from nas.space import Choose
from nas.task import TaskShape

from ..input_checks import check_series
from .spec import ACTIVATIONS, COMBINATIONS, CellTree, Merge, children

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn


@dataclass(frozen=True)
class RecurrentCell:
    """Recurrent cells of Zoph & Le, as trees of merges and activations, for series.

    arXiv 1611.01578, sections 3.4 and 4.2. Each node of the tree and the injection of c choose a combination and an
    activation, and two cell indices choose a node each: 8^(2n) (2n − 1)² cells of base n. With base 8 these are 6.3e16,
    the published "approximately 6 × 10^16".

    The paper describes the cell alone. Here the series is cut into steps of equal length, a linear layer embeds each,
    and the head is linear on the last h and the mean of all. The first h and c are learned and start at one, because
    products with zero would stay zero. After each step h and c are clipped to ±10, because cells of products could
    square them in every step.

    Attributes:
        base: Number of leaves, from 1.
        widths: Options for the features of h.
        max_steps: Largest number of steps; a longer series has several values a step.
    """

    base: int = 8
    widths: tuple[int, ...] = (16,)
    max_steps: int = 16
    name = "recurrent-cell"

    def __post_init__(self) -> None:
        check_numbers(self.name, "widths", self.widths, 1, LARGEST_WIDTH)
        check_number(self.name, "base", self.base, 1, 100)
        check_number(self.name, "max_steps", self.max_steps, 1, 4096)

    def decide(self, choose: Choose) -> CellTree:
        """The merge of each node and of the injection, the two cell indices, and the width."""
        nodes = range(2 * self.base - 1)
        return CellTree(
            nodes=tuple(_merge(choose, f"node{node}") for node in nodes),
            inject=_merge(choose, "inject"),
            inject_at=choose("inject_at", nodes),
            cell_from=choose("cell_from", nodes),
            width=choose("width", self.widths),
        )

    def build(self, spec: CellTree, task: TaskShape) -> nn.Module:
        """The network.

        Raises:
            SpaceError: The task's inputs are not series.
        """
        from .network import RecurrentNetwork

        check_series(self.name, task)
        return RecurrentNetwork(spec, task, self.max_steps)

    def graph(self, spec: CellTree) -> nx.DiGraph:
        """One step as a diagram, from x, h and c to the new h and c. No two of its nodes share weights."""
        import networkx as nx

        diagram = nx.DiGraph()
        for name in "xhc":
            diagram.add_node(name, op=f"input:{name}")
        values: list[str] = []
        for node, merge in enumerate(spec.nodes):
            left, right = _add_sources(diagram, node, spec, values)
            unactivated, value = _add_merge(diagram, f"node{node}", merge, left, right)
            if node == spec.cell_from:
                _add_output(diagram, unactivated, "c")
            if node == spec.inject_at:
                _, value = _add_merge(diagram, "inject", spec.inject, value, "c")
            values.append(value)
        _add_output(diagram, values[-1], "h")
        return diagram


def _merge(choose: Choose, name: str) -> Merge:
    return Merge(choose(f"{name}.combination", COMBINATIONS), choose(f"{name}.activation", ACTIVATIONS))


def _add_sources(diagram: nx.DiGraph, node: int, spec: CellTree, values: list[str]) -> tuple[str, str]:
    """Add the linear maps of a leaf; return the two values that the node merges."""
    merged = children(node, (len(spec.nodes) + 1) // 2)
    if merged is not None:
        return values[merged[0]], values[merged[1]]
    for name in "xh":
        diagram.add_node(f"{name}{node}", op=f"linear {spec.width}")
        diagram.add_edge(name, f"{name}{node}")
    return f"x{node}", f"h{node}"


def _add_merge(diagram: nx.DiGraph, name: str, merge: Merge, left: str, right: str) -> tuple[str, str]:
    """Add a merge; return its value before the activation, and after."""
    diagram.add_node(f"{name}.before", op=merge.combination, join=merge.combination)
    diagram.add_edges_from(((left, f"{name}.before"), (right, f"{name}.before")))
    if merge.activation == "identity":
        return f"{name}.before", f"{name}.before"
    diagram.add_node(name, op=merge.activation)
    diagram.add_edge(f"{name}.before", name)
    return f"{name}.before", name


def _add_output(diagram: nx.DiGraph, source: str, state: str) -> None:
    diagram.add_node(f"new {state}", op=f"output:{state}")
    diagram.add_edge(source, f"new {state}")
