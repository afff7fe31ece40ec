"""Small and huge search spaces on which components are tested, and the assertion of a law."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from ..choose import Choose
from ..task import TaskShape

if TYPE_CHECKING:
    import torch


class WithoutNetworks:
    """Base of spaces whose architectures are never built."""

    name = "without-networks"

    def build(self, spec: Any, task: TaskShape) -> torch.nn.Module:
        raise NotImplementedError


class OnePoint(WithoutNetworks):
    """One architecture, from a choice with a single option."""

    name = "one-point"

    def decide(self, choose: Choose) -> str:
        return choose("only", ("this",))


class Ten(WithoutNetworks):
    """Ten architectures: choice a decides how many options choice b has, and whether there is a choice c."""

    name = "ten"

    def decide(self, choose: Choose) -> tuple[int, ...]:
        if choose("a", (0, 1)) == 0:
            return 0, choose("b", range(4))
        return 1, choose("b", range(3)), choose("c", range(2))


class Vast(WithoutNetworks):
    """10⁴⁰ architectures: forty choices of ten options each."""

    name = "vast"

    def decide(self, choose: Choose) -> tuple[int, ...]:
        return tuple(choose(f"{place}", range(10)) for place in range(40))


def require(law: bool, message: str) -> None:
    """Raises AssertionError with the message if a law is broken. Unlike `assert` it also does so under `python -O`."""
    if not law:
        raise AssertionError(message)


class ToySpace:
    """A small conditional space: one to three layers, each dense with 4 or 8 units, or nothing.

    36 architectures: 3 + 9 + 27, less the three in which no layer is dense, which are rejected.
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
