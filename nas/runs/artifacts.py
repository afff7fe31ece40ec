"""The report that a run leaves for people, and the diagram of an architecture."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..analysis import ranking
from ..analysis.choice_effects import choice_effects
from ..analysis.mixed_protocols import mixed_scores
from ..analysis.protocol_check import MEASURED
from ..architecture import Architecture
from ..config.parts import Parts
from ..protocols.spaces import GraphSpace
from ..registry import user_files
from ..report.details import Details
from ..space.sampling import replay
from ..store.sqlite_store import Store
from .folder import RunFolder, config_of, final_of
from .reproduction import commands
from .summary import state
from .taken_options import readable_options

OTHER_FILE = "give another file to `nas report` with --out FILE.html"
"""What to do where a page cannot be written."""
if TYPE_CHECKING:
    import networkx as nx


def write_report(run: RunFolder, store: Store, parts: Parts, out: Path | None = None) -> Path:
    """Writes the report's page anew from what the store holds, and returns its path.

    Args:
        run: The run.
        store: Its store.
        parts: Its components.
        out: The file; None for `report.html` in the run's folder.
    """
    from ..report.rendering import write_text

    path = run.report if out is None else out
    write_text(path, report_text(run, store, parts), OTHER_FILE)
    return path


def report_text(run: RunFolder, store: Store, parts: Parts, *, live: bool = False) -> str:
    """The report's page of what the store holds.

    Args:
        run: The run.
        store: Its store.
        parts: Its components.
        live: Whether the page is served while the run goes on.
    """
    from ..report.html import html_text

    trials = store.trials()
    options_of = cache(partial(readable_options, parts.space))
    details = Details(
        graph_of=partial(graph_of, parts),
        options_of=options_of,
        effects=choice_effects(ranking.comparable(trials), options_of),
        commands=commands(run.name, config_of(store)),
        warnings=[entry.text() for entry in mixed_scores(trials, store.items(MEASURED))],
        state=state(store, run),
    )
    config = user_files.shortened(store.meta["config"])
    return html_text(name=run.name, config=config, trials=trials, final=final_of(store), details=details, live=live)


def graph_of(parts: Parts, architecture: Architecture) -> nx.DiGraph | None:
    """The diagram of an architecture as a networkx graph; None where its space draws none."""
    space = parts.space
    return space.graph(replay(space, architecture)) if isinstance(space, GraphSpace) else None
