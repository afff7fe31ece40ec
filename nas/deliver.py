"""What a run leaves for people: the report, and the winner as a folder to take away."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import own, runs
from .architecture import Architecture
from .config import Config, Parts
from .config_paths import without_data_folders
from .errors import RunError
from .executors.attempt import attempt
from .protocols import Measurer
from .runs import Run
from .space import replay
from .store import Store

EXPORT_S = 1.0
REMEDY = (
    "write its forward with layers of torch.nn and functions of torch, the same in training and in evaluation, and "
    "without branches on a tensor's values"
)


def write_report(run: Run, store: Store, parts: Parts) -> Path:
    """Writes report.html anew from what the store holds, and returns its path."""
    from .report.html import write_html

    trials, final = store.trials(), store.get("final")
    winner = winner_of(final)
    leaders = [winner] if winner else [trial.architecture for trial in runs.best(trials)]
    graph = graph_of(parts, leaders[0]) if leaders else None
    path = run.folder / "report.html"
    write_html(path, name=run.name, config=own.shortened(store.meta["config"]), trials=trials, final=final, graph=graph)
    return path


def export_winner(run: Run, store: Store, config: Config, parts: Parts, folder: Path) -> list[Path]:
    """Writes the winner with its meta-learned weights to a new folder, and returns the files.

    The weights are those of the meta-training, among the winner's, that did best on the fresh validation tasks. Raises
    RunError where the run has no winner yet, ConfigError where the folder holds something already.
    """
    from .export import export

    final = store.get("final")
    architecture = winner_of(final)
    if final is None:
        raise RunError(f"run {run.name!r} has no winner yet; continue it with `nas resume {run.name}`")
    if architecture is None:
        raise RunError(f"run {run.name!r} has no winner: its test failed ; `nas show {run.name}` says why")
    measurer, seed = parts.measurer, final["winner"].get("weights_seed")
    network = measurer.trained(architecture, config.final_budget, seed, run.weights(architecture, seed))
    files = own.digests(store.meta.get("files", {}))
    result = {key: final["winner"][key] for key in ("value", "interval", "protocol")}
    return export(
        folder,
        network=network,
        architecture=architecture,
        graph=graph_of(parts, architecture),
        shape=measurer.tasks.shape,
        recipe={
            "run": run.name,
            "seed": seed,
            "test": result,
            "config": without_data_folders(config).to_json(),
            **({"files": files} if files else {}),
        },
        extra=_files_of(parts, architecture),
    )


def export_file(measurer: Measurer, architecture: Architecture) -> tuple[str | None, str]:
    """The file that an export of an architecture's network would hold its forward in, `model.py` or `model.pt2`; None
    where it can be neither. Beside it why it is not `model.py`, or an empty text.

    Raises what `measurer.network` raises.
    """
    from .export import form_of

    form = form_of(measurer.network(architecture, 0), measurer.tasks.shape.input_shape)
    return form.file, form.why


def first_not_source(measurer: Measurer, architectures: Sequence[Architecture]) -> tuple[str | None, str]:
    """Of `export_file`, the worst result of some architectures: no file, else a program, else source.

    Those after EXPORT_S seconds, and those whose network cannot be built, are left out."""
    worst: tuple[str | None, str] = ("model.py", "")
    end = time.monotonic() + EXPORT_S
    for architecture in architectures:
        found, error = attempt(export_file, measurer, architecture)
        if error is None and found[1]:
            worst = found
            if found[0] is None:
                break
        if time.monotonic() > end:
            break
    return worst


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
