"""Networks of `recurrent-cell`."""

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
"""Bound of the absolute values of h and c after each step."""


class TreeCell(nn.Module):
    """One step of a recurrent network. One matrix holds the linear maps of x of all leaves, another those of h."""

    def __init__(self, spec: CellTree) -> None:
        super().__init__()
        self.spec = spec
        self.leaves = (len(spec.nodes) + 1) // 2
        self.from_x = nn.Linear(spec.width, self.leaves * spec.width, bias=False)
        self.from_h = nn.Linear(spec.width, self.leaves * spec.width, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """The new h and c.

        Args:
            x: Output of `from_x` for this step, (examples, leaves * width).
            h: Old h, (examples, width), or (width,) if it is the same for all examples.
            c: Old c, of the same shape as h.
        """
        parts = list(zip(self._split(x), self._split(self.from_h(h)), strict=True))
        values: list[Tensor] = []
        cell = c
        for node, merge in enumerate(self.spec.nodes):
            merged = children(node, self.leaves)
            left, right = parts[node] if merged is None else (values[merged[0]], values[merged[1]])
            value = COMBINE[merge.combination](left, right)
            if node == self.spec.cell_from:
                cell = value
            value = _activated(merge, value)
            if node == self.spec.inject_at:
                value = _activated(self.spec.inject, COMBINE[self.spec.inject.combination](value, c))
            values.append(value)
        return values[-1].clamp(-LIMIT, LIMIT), cell.clamp(-LIMIT, LIMIT)

    def _split(self, products: Tensor) -> list[Tensor]:
        chunks = products.chunk(self.leaves, -1)
        return [chunks[leaf] for leaf in range(self.leaves)]


class RecurrentNetwork(nn.Module):
    """Linear embedding of each step, the cell, linear head on the last h and the mean of all h."""

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
        history = []
        for step in range(self.steps.count):
            h, c = self.cell(products[:, step], h, c)
            history.append(h)
        features = torch.cat([h, torch.stack(history).mean(0)], 1)
        logits: Tensor = self.head(features)
        return logits


def _activated(merge: Merge, value: Tensor) -> Tensor:
    return value if merge.activation == "identity" else ACTIVATE[merge.activation](value)
