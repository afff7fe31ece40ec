"""The space `recurrent-cell`: the tree that makes a step of a recurrent network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx

from nas.bounds import LARGEST_WIDTH, check_number, check_numbers
from nas.errors import SpaceError
from nas.space import Choose
from nas.task import TaskShape

from .spec import ACTIVATIONS, COMBINATIONS, CellTree, Merge, children

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class RecurrentCell:
    """The recurrent space of Zoph & Le (arXiv 1611.01578, sections 3.4 and 4.2).

    Each node of the tree and the injection choose a combination and an activation, and two cell indices choose a node
    each: 8^(2n) (2n − 1)² cells of base n. Of base 8 these are 6.3e16, the published "approximately 6 × 10^16".

    Around the cell, which is all that is described there: the series is cut into steps of equal length, a linear layer
    embeds each, and the head is linear on the last h and the mean of all. The first h and c are learned and start at
    one, for products with zero would stay zero. After each step h and c are cut off at ±10, as some cells of products
    would square them in every step.

    base       number of leaves, from 1
    widths     options for the numbers in h
    max_steps  most steps; a longer series has several values a step
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
        places = range(2 * self.base - 1)
        return CellTree(
            nodes=tuple(_merge(choose, f"node{place}") for place in places),
            inject=_merge(choose, "inject"),
            inject_at=choose("inject_at", places),
            cell_from=choose("cell_from", places),
            width=choose("width", self.widths),
        )

    def build(self, spec: CellTree, task: TaskShape) -> nn.Module:
        """The network; raises SpaceError where the task's inputs are not series."""
        from .network import RecurrentNetwork

        if len(task.input_shape) != 2:
            raise SpaceError(
                f"recurrent-cell needs series (channels, length); this task's inputs are {task.input_shape}"
            )
        return RecurrentNetwork(spec, task, self.max_steps)

    def graph(self, spec: CellTree) -> nx.DiGraph:
        """One step: from x, h and c to the new h and c. No two of its nodes share weights."""
        diagram = nx.DiGraph()
        for name in "xhc":
            diagram.add_node(name, op=f"input:{name}")
        values: list[str] = []
        for place, node in enumerate(spec.nodes):
            left, right = _sources(diagram, place, spec, values)
            before, value = _draw(diagram, f"node{place}", node, left, right)
            if place == spec.cell_from:
                _end(diagram, before, "c")
            if place == spec.inject_at:
                _, value = _draw(diagram, "inject", spec.inject, value, "c")
            values.append(value)
        _end(diagram, values[-1], "h")
        return diagram


def _merge(choose: Choose, name: str) -> Merge:
    return Merge(choose(f"{name}.combination", COMBINATIONS), choose(f"{name}.activation", ACTIVATIONS))


def _sources(diagram: nx.DiGraph, place: int, spec: CellTree, values: list[str]) -> tuple[str, str]:
    inner = children(place, (len(spec.nodes) + 1) // 2)
    if inner is not None:
        return values[inner[0]], values[inner[1]]
    for name in "xh":
        diagram.add_node(f"{name}{place}", op=f"linear {spec.width}")
        diagram.add_edge(name, f"{name}{place}")
    return f"x{place}", f"h{place}"


def _draw(diagram: nx.DiGraph, name: str, merge: Merge, left: str, right: str) -> tuple[str, str]:
    """Adds a merge; returns its value before the activation, and after."""
    diagram.add_node(f"{name}.before", op=merge.combination, join=merge.combination)
    diagram.add_edges_from(((left, f"{name}.before"), (right, f"{name}.before")))
    if merge.activation == "identity":
        return f"{name}.before", f"{name}.before"
    diagram.add_node(name, op=merge.activation)
    diagram.add_edge(f"{name}.before", name)
    return f"{name}.before", name


def _end(diagram: nx.DiGraph, source: str, state: str) -> None:
    diagram.add_node(f"new {state}", op=f"output:{state}")
    diagram.add_edge(source, f"new {state}")
