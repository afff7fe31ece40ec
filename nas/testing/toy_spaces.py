"""Small and huge spaces that the laws of components are tried on, and how a broken law is said."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from ..choose import Choose
from ..task import TaskShape

if TYPE_CHECKING:
    import torch

    from ..task import TaskShape


__all__ = ["Decided", "OnePoint", "Ten", "ToySpace", "Vast", "hold"]


class Decided:
    """A space without networks."""

    name = "decided"

    def build(self, spec: Any, task: TaskShape) -> torch.nn.Module:
        raise NotImplementedError


class OnePoint(Decided):
    """One architecture, by a choice that is none."""

    name = "one-point"

    def decide(self, choose: Choose) -> str:
        return choose("only", ("this",))


class Ten(Decided):
    """Ten architectures: two branches, which give the choice b different options; one of them opens a third choice."""

    name = "ten"

    def decide(self, choose: Choose) -> tuple[int, ...]:
        if choose("a", (0, 1)) == 0:
            return 0, choose("b", range(4))
        return 1, choose("b", range(3)), choose("c", range(2))


class Vast(Decided):
    """10⁴⁰ architectures: forty choices of ten options."""

    name = "vast"

    def decide(self, choose: Choose) -> tuple[int, ...]:
        return tuple(choose(f"{place}", range(10)) for place in range(40))


def hold(law: bool, otherwise: str) -> None:
    """Raises AssertionError with what is to be said where a law is broken."""
    if not law:
        raise AssertionError(otherwise)


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
