"""Details of a report besides its trials: cells, options and effects of its space, commands, the run's state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..analysis.choice_effects import ChoiceEffect
from ..architecture import Architecture

if TYPE_CHECKING:
    import networkx as nx


def _no_cell(_architecture: Architecture) -> nx.DiGraph | None:
    return None


def _no_options(_architecture: Architecture) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Details:
    """What the space of a run says of its trials, and how the run is repeated.

    Attributes:
        graph_of: The cell of an architecture; None where its space draws none.
        options_of: The options that an architecture took, by choice.
        effects: Effects of the space's choices on the search's scores, the largest first.
        commands: Commands that repeat, continue and export the run.
        warnings: What is wrong with the run's scores, such as several protocols.
        state: 'running', 'done', 'interrupted' or 'failed'; empty where it is not known.
    """

    graph_of: Callable[[Architecture], nx.DiGraph | None] = _no_cell
    options_of: Callable[[Architecture], Mapping[str, Any]] = _no_options
    effects: Sequence[ChoiceEffect] = ()
    commands: Sequence[str] = ()
    warnings: Sequence[str] = ()
    state: str = ""


NO_DETAILS = Details()
