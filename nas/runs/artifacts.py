"""The report that a run leaves for people, and the diagram of an architecture."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..analysis import ranking
from ..analysis.choice_effects import choice_effects
from ..architecture import Architecture
from ..config.parts import Parts
from ..protocols.spaces import GraphSpace
from ..registry import user_files
from ..space.sampling import options_taken, replay
from ..store.sqlite_store import Store
from .folder import RunFolder, final_of

if TYPE_CHECKING:
    import networkx as nx


def write_report(run: RunFolder, store: Store, parts: Parts) -> Path:
    """Writes the report's page anew from what the store holds, and returns its path."""
    from ..report.html import write_html

    trials, final = store.trials(), final_of(store)
    leaders = [trial.architecture for trial in ranking.best(trials)]
    if final is not None and final.winner is not None:
        leaders = [final.winner.architecture]
    write_html(
        run.report,
        name=run.name,
        config=user_files.shortened(store.meta["config"]),
        trials=trials,
        final=final,
        graph=graph_of(parts, leaders[0]) if leaders else None,
        effects=choice_effects(ranking.comparable(trials), partial(options_taken, parts.space)),
    )
    return run.report


def graph_of(parts: Parts, architecture: Architecture) -> nx.DiGraph | None:
    """The diagram of an architecture as a networkx graph; None where its space draws none."""
    space = parts.space
    return space.graph(replay(space, architecture)) if isinstance(space, GraphSpace) else None
