"""Files that a run leaves for people: the report, and the winner as an export folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..analysis import ranking
from ..architecture import Architecture
from ..config.parts import Parts
from ..config.paths import without_data_folders
from ..errors import RunError
from ..protocols.spaces import FileSpace, GraphSpace
from ..registry import user_files
from ..space.sampling import replay
from ..store.sqlite_store import Store
from .folder import RunFolder, config_of, final_of

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
    )
    return run.report


def export_winner(run: RunFolder, store: Store, parts: Parts, folder: Path) -> list[Path]:
    """Writes the winner with its meta-learned weights to a new folder.

    The weights are those of the meta-training, among the winner's, that did best on the fresh validation tasks.

    Args:
        run: The run.
        store: Its store.
        parts: The components that its config names.
        folder: The folder to write, which does not exist yet or is empty.

    Returns:
        The files.

    Raises:
        RunError: The run has no winner.
        ConfigError: The folder cannot be used.
    """
    from ..export.writing import Extras, export

    final, config = final_of(store), config_of(store)
    if final is None:
        raise RunError(f"run {run.name!r} has no winner yet; continue it with `nas resume {run.name}`")
    winner = final.winner
    if winner is None:
        raise RunError(f"run {run.name!r} has no winner: its test failed; `nas show {run.name}` says why")
    measurer, architecture, seed = parts.measurer, winner.architecture, winner.weights_seed
    if seed is None:
        raise RunError(f"run {run.name!r} does not say which weights of its winner are the best; search again")
    network = measurer.trained(architecture, config.final_budget, seed, run.weights(architecture, seed))
    files = user_files.digests(store.meta.get("files", {}))
    test = {"value": winner.value, "interval": winner.estimate.interval, "protocol": dict(winner.protocol)}
    return export(
        folder,
        network=network,
        architecture=architecture,
        shape=measurer.tasks.shape,
        recipe={
            "run": run.name,
            "seed": seed,
            "test": test,
            "config": without_data_folders(config).to_json(),
            **({"files": files} if files else {}),
        },
        extras=Extras(graph_of(parts, architecture), _files_of(parts, architecture)),
    )


def graph_of(parts: Parts, architecture: Architecture) -> nx.DiGraph | None:
    """The diagram of an architecture as a networkx graph; None where its space draws none."""
    space = parts.space
    return space.graph(replay(space, architecture)) if isinstance(space, GraphSpace) else None


def _files_of(parts: Parts, architecture: Architecture) -> dict[str, str]:
    """Texts, by file name, that the space adds to the folder of an architecture; most spaces add none."""
    space = parts.space
    return dict(space.files(replay(space, architecture))) if isinstance(space, FileSpace) else {}
