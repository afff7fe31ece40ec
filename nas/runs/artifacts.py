"""What a run leaves for people: the report, and the winner as a folder to take away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..analysis import ranking
from ..architecture import Architecture
from ..config.parts import Parts
from ..config.paths import without_data_folders
from ..config.reading import Config
from ..errors import RunError
from ..registry import user_files
from ..space.sampling import replay
from ..store.sqlite_store import Store
from .folder import Run


def write_report(run: Run, store: Store, parts: Parts) -> Path:
    """Writes report.html anew from what the store holds, and returns its path."""
    from ..report.html import write_html

    trials, final = store.trials(), store.get("final")
    winner = winner_of(final)
    leaders = [winner] if winner else [trial.architecture for trial in ranking.best(trials)]
    graph = graph_of(parts, leaders[0]) if leaders else None
    path = run.folder / "report.html"
    write_html(
        path, name=run.name, config=user_files.shortened(store.meta["config"]), trials=trials, final=final, graph=graph
    )
    return path


def export_winner(run: Run, store: Store, config: Config, parts: Parts, folder: Path) -> list[Path]:
    """Writes the winner with its meta-learned weights to a new folder, and returns the files.

    The weights are those of the meta-training, among the winner's, that did best on the fresh validation tasks. Raises
    RunError where the run has no winner yet, ConfigError where the folder holds something already.
    """
    from ..export.writing import Extras, export

    final = store.get("final")
    architecture = winner_of(final)
    if final is None:
        raise RunError(f"run {run.name!r} has no winner yet; continue it with `nas resume {run.name}`")
    if architecture is None:
        raise RunError(f"run {run.name!r} has no winner: its test failed ; `nas show {run.name}` says why")
    measurer, seed = parts.measurer, final["winner"].get("weights_seed")
    network = measurer.trained(architecture, config.final_budget, seed, run.weights(architecture, seed))
    files = user_files.digests(store.meta.get("files", {}))
    result = {key: final["winner"][key] for key in ("value", "interval", "protocol")}
    return export(
        folder,
        network=network,
        architecture=architecture,
        shape=measurer.tasks.shape,
        recipe={
            "run": run.name,
            "seed": seed,
            "test": result,
            "config": without_data_folders(config).to_json(),
            **({"files": files} if files else {}),
        },
        extras=Extras(graph_of(parts, architecture), _files_of(parts, architecture)),
    )


def graph_of(parts: Parts, architecture: Architecture) -> Any:
    """The diagram of an architecture, where its space draws one; else None."""
    draw = getattr(parts.space, "graph", None)
    return None if draw is None else draw(replay(parts.space, architecture))


def _files_of(parts: Parts, architecture: Architecture) -> dict[str, str]:
    """What a space adds to the folder of an architecture, as texts by file name; most add nothing."""
    files = getattr(parts.space, "files", None)
    return {} if files is None else files(replay(parts.space, architecture))


def winner_of(final: dict[str, Any] | None) -> Architecture | None:
    """The architecture that a run's final result names as its winner."""
    if not final or not final["winner"]:
        return None
    return Architecture.from_json(final["winner"]["architecture"])
