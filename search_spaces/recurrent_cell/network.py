"""The network of `recurrent-cell`. Kept apart from the space, which is pure Python without torch."""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nas.task import TaskShape

from ..patches import Patches
from .spec import CellTree, Merge, children

COMBINE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"add": operator.add, "elem_mult": operator.mul}
ACTIVATE: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}
LIMIT = 10.0


class TreeCell(nn.Module):
    """One step of a recurrent network. The products of weights with x, and those with h, are one matrix each."""

    def __init__(self, spec: CellTree) -> None:
        super().__init__()
        self.spec = spec
        self.leaves = (len(spec.nodes) + 1) // 2
        self.from_x = nn.Linear(spec.width, self.leaves * spec.width, bias=False)
        self.from_h = nn.Linear(spec.width, self.leaves * spec.width, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """x is what `from_x` gives for a step, (examples, leaves * width); h and c, before and after it, are (examples,
        width), or (width,) where they are those of all examples."""
        parts = list(zip(self._split(x), self._split(self.from_h(h)), strict=True))
        values: list[Tensor] = []
        cell = c
        for place, node in enumerate(self.spec.nodes):
            inner = children(place, self.leaves)
            left, right = parts[place] if inner is None else (values[inner[0]], values[inner[1]])
            value = COMBINE[node.combination](left, right)
            if place == self.spec.cell_from:
                cell = value
            value = _activated(node, value)
            if place == self.spec.inject_at:
                value = _activated(self.spec.inject, COMBINE[self.spec.inject.combination](value, c))
            values.append(value)
        return values[-1].clamp(-LIMIT, LIMIT), cell.clamp(-LIMIT, LIMIT)

    def _split(self, products: Tensor) -> list[Tensor]:
        chunks = products.chunk(self.leaves, -1)
        return [chunks[leaf] for leaf in range(self.leaves)]


class RecurrentNetwork(nn.Module):
    """Linear embedding of each step, the cell, linear head on the last h and the mean of all."""

    def __init__(self, spec: CellTree, task: TaskShape, max_steps: int) -> None:
        super().__init__()
        self.steps = Patches(task.input_shape, max_steps)
        self.embedding = nn.Linear(self.steps.numbers, spec.width)
        self.cell = TreeCell(spec)
        self.first_h = nn.Parameter(torch.ones(spec.width))
        self.first_c = nn.Parameter(torch.ones(spec.width))
        self.head = nn.Linear(2 * spec.width, task.num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        products = self.cell.from_x(self.embedding(self.steps(x)))
        h, c = self.first_h, self.first_c
        seen = []
        for step in range(self.steps.count):
            h, c = self.cell(products[:, step], h, c)
            seen.append(h)
        features = torch.cat([h, torch.stack(seen).mean(0)], 1)
        logits: Tensor = self.head(features)
        return logits


def _activated(merge: Merge, value: Tensor) -> Tensor:
    return value if merge.activation == "identity" else ACTIVATE[merge.activation](value)
