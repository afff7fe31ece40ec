"""When two architectures are the same network: what was evaluated once is not evaluated again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..architecture import Architecture
from ..errors import SpaceError
from ..failures import attempt, reason
from ..protocols import GraphSpace, SearchSpace
from .sampling import replay

if TYPE_CHECKING:
    import networkx as nx


Seen = TypeVar("Seen")


def network_key(space: SearchSpace, architecture: Architecture) -> str:
    """A text that architectures of a space have in common when they are the same network.

    Where the space draws graphs, the canonical form of the architecture's; else the architecture's own key, and only
    equal picks are equal networks. Raises as `of_graph`.
    """
    key = of_graph(space, architecture, _canonical)
    return architecture.key if key is None else key


def of_graph(space: SearchSpace, architecture: Architecture, look: Callable[[nx.DiGraph], Seen]) -> Seen | None:
    """What `look` says of the graph that the space draws of an architecture; None where it draws none.

    Raises SpaceError, with the picks, where `graph` fails or draws what `look` cannot use; and what `replay` raises.
    """
    if not isinstance(space, GraphSpace):
        return None
    spec = replay(space, architecture)
    seen = attempt(lambda: look(space.graph(spec)))
    if seen.error is not None:
        raise SpaceError(
            f"space {space.name!r} gives no usable graph of the architecture {dict(architecture.picks)}: "
            f"{reason(seen.error)}; correct its `graph`, or leave it out and have architectures compared by their picks"
        ) from seen.error
    return seen.value


def _canonical(graph: nx.DiGraph) -> str:
    from .graph import canonical

    return canonical(graph)
