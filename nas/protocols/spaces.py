"""Protocols of search spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..task import TaskShape

if TYPE_CHECKING:
    import networkx as nx
    import torch

    from ..architecture import Architecture
    from ..choose import Choose


class SearchSpace(Protocol):
    """Set of architectures: `decide` makes the choices in plain Python, `build` makes the network.

    `GraphSpace`, `FileSpace` and `TextSpace` are what a space may offer besides.
    """

    @property
    def name(self) -> str: ...

    def decide(self, choose: Choose) -> Any: ...

    def build(self, spec: Any, task: TaskShape) -> torch.nn.Module: ...


@runtime_checkable
class GraphSpace(SearchSpace, Protocol):
    """Search space that draws its architectures as graphs. In any other space only equal picks are the same network."""

    def graph(self, spec: Any) -> nx.DiGraph:
        """The architecture as `nas.space.graph` describes it.

        The graph must distinguish all networks that `build` distinguishes, because a search evaluates architectures of
        equal canonical form once. What is outside the cell is an attribute of the whole graph, a JSON value:
        `DiGraph(width=16, num_cells=3)`.
        """
        ...


@runtime_checkable
class FileSpace(SearchSpace, Protocol):
    """Search space that adds files of its own to the folder of an exported network."""

    def files(self, spec: Any) -> Mapping[str, str]:
        """Texts by file name."""
        ...


@runtime_checkable
class TextSpace(SearchSpace, Protocol):
    """Search space with a notation of its own for architectures, by which tables name them."""

    def to_text(self, architecture: Architecture) -> str: ...
