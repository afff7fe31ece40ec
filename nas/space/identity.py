"""Identity of networks: a key that equal architectures share, so that none is evaluated twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from ..architecture import Architecture
from ..errors import SpaceError
from ..failures import attempt, reason
from ..protocols.spaces import GraphSpace, SearchSpace
from .sampling import replay

if TYPE_CHECKING:
    import networkx as nx


T = TypeVar("T")


def network_key(space: SearchSpace, architecture: Architecture) -> str:
    """A text that architectures of a space share when they are the same network.

    Returns:
        The canonical form of the architecture's graph where the space draws graphs; else the architecture's own key,
        which only equal picks share.

    Raises:
        SpaceError: As `of_graph`.
    """
    key = of_graph(space, architecture, _canonical)
    return architecture.key if key is None else key


def network_key_of(space: SearchSpace, architecture: Architecture, spec: Any) -> str:
    """`network_key` of an architecture that was decided: `spec` is what `decide` returned for it."""
    key = _of_spec(space, architecture, spec, _canonical)
    return architecture.key if key is None else key


def of_graph(space: SearchSpace, architecture: Architecture, function: Callable[[nx.DiGraph], T]) -> T | None:
    """The result of a function of the graph that the space draws of an architecture.

    Args:
        space: The search space.
        architecture: An architecture of it.
        function: The function.

    Returns:
        Its result; None where the space draws no graphs.

    Raises:
        SpaceError: `graph` fails, or draws what the function cannot use; the message shows the picks. Also what
            `replay` raises.
    """
    if not _draws_graphs(space):
        return None
    return _of_spec(space, architecture, replay(space, architecture), function)


def _of_spec(
    space: SearchSpace, architecture: Architecture, spec: Any, function: Callable[[nx.DiGraph], T]
) -> T | None:
    if not _draws_graphs(space):
        return None
    result = attempt(lambda: function(space.graph(spec)))
    if result.error is not None:
        raise SpaceError(
            f"space {space.name!r} gives no usable graph of the architecture {dict(architecture.picks)}: "
            f"{reason(result.error)}; correct its `graph`, or leave it out and have architectures compared by their "
            "picks"
        ) from result.error
    return result.value


def _draws_graphs(space: SearchSpace) -> TypeGuard[GraphSpace]:
    """As `isinstance(space, GraphSpace)`, which takes 15 µs in Python 3.11, too long for each of many proposals."""
    return hasattr(space, "graph")


def _canonical(graph: nx.DiGraph) -> str:
    from .graph import canonical

    return canonical(graph)
