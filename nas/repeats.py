"""When two architectures are the same network: what was evaluated once is not evaluated again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from .architecture import Architecture, Trial
from .errors import SpaceError
from .executors.attempt import attempt, reason
from .protocols import SearchSpace
from .space import replay

Repeats = Literal["known", "evaluated"]
"""What becomes of a network that is proposed again: its result is known, or it is evaluated as if it were new."""


def network_key(space: SearchSpace, architecture: Architecture) -> str:
    """A text that architectures of a space have in common when they are the same network.

    Where the space draws graphs, the canonical form of the architecture's; else the architecture's own key, and only
    equal picks are equal networks. Raises SpaceError, with the picks, where `graph` fails or draws none; and what
    `replay` raises.
    """
    draw = getattr(space, "graph", None)
    if draw is None:
        return architecture.key
    key, error = attempt(_drawn, draw, replay(space, architecture))
    if error is not None:
        raise SpaceError(
            f"space {space.name!r} gives no usable graph of the architecture {dict(architecture.picks)}: "
            f"{reason(error)}; correct its `graph`, or leave it out and have architectures compared by their picks"
        ) from error
    text: str = key
    return text


def evaluated(trials: Iterable[Trial]) -> list[Trial]:
    """The trials that are not repeats of others."""
    return [trial for trial in trials if trial.repeats is None]


def _drawn(draw: Any, spec: Any) -> str:
    from .graph import canonical  # networkx takes a moment to import

    return canonical(draw(spec))
