"""A small search space to try things on."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from .protocols import TaskShape
from .space import Choose

if TYPE_CHECKING:
    import torch


class ToySpace:
    """A small conditional space for tests: one to three layers, each a dense one of some width or nothing at all.

    36 architectures: 3 + 9 + 27 less the three in which no layer does anything, which are rejected.
    """

    name = "toy"

    def decide(self, choose: Choose) -> tuple[int, ...]:
        widths = []
        for layer in range(choose("layers", (1, 2, 3))):
            if choose(f"{layer}.op", ("dense", "nothing")) == "dense":
                widths.append(choose(f"{layer}.width", (4, 8)))
        if not widths:
            choose.reject("no layer does anything")
        return tuple(widths)

    def build(self, spec: tuple[int, ...], task: TaskShape) -> torch.nn.Module:
        from torch import nn

        sizes = (math.prod(task.input_shape), *spec)
        layers: list[nn.Module] = [nn.Flatten()]
        for size, width in itertools.pairwise(sizes):
            layers += [nn.Linear(size, width), nn.Tanh()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], task.num_outputs))
