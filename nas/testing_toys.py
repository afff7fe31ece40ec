"""Small and huge spaces that the laws of components are tried on, and how a broken law is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .space import Choose
from .toy import ToySpace

if TYPE_CHECKING:
    import torch

    from .protocols import TaskShape

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
