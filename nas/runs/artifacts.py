"""Files that a run leaves for people: the report, and the winner as an export folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..adaptation_rule import AdaptationRule
from ..analysis import ranking
from ..architecture import Architecture
from ..config.parts import Parts
from ..config.paths import without_data_folders
from ..errors import RunError
from ..protocols.evaluators import Measurer
from ..protocols.learners import LEARNER, Portable
from ..protocols.spaces import FileSpace, GraphSpace
from ..protocols.tasks import Preprocessed
from ..registry import user_files
from ..space.sampling import replay
from ..store.sqlite_store import Store
from .card import NO_RULE, card_of
from .folder import RunFolder, config_of, final_of

if TYPE_CHECKING:
    import networkx as nx
    from torch import nn


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
    from ..export.card import card_text
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
    rule = _rule_of(measurer, network)
    trial = next((each for each in store.trials() if each.number == winner.number), None)
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
        extras=Extras(
            graph=graph_of(parts, architecture),
            rule=rule,
            preprocessing=measurer.tasks.preprocessing() if isinstance(measurer.tasks, Preprocessed) else None,
            card=card_text(card_of(final, config, parts, trial, "" if rule else NO_RULE)),
            texts=_files_of(parts, architecture),
        ),
    )


def _rule_of(measurer: Measurer, network: nn.Module) -> AdaptationRule | None:
    """How the run's learner adapts the network; None where it does not say."""
    learner = measurer.learner
    if not isinstance(learner, Portable):
        return None
    parameters = {
        name: p.detach() for name, p in network.named_parameters() if p.requires_grad or name.startswith(LEARNER)
    }
    return learner.adaptation(network, parameters, measurer.tasks.shape.kind)


def graph_of(parts: Parts, architecture: Architecture) -> nx.DiGraph | None:
    """The diagram of an architecture as a networkx graph; None where its space draws none."""
    space = parts.space
    return space.graph(replay(space, architecture)) if isinstance(space, GraphSpace) else None


def _files_of(parts: Parts, architecture: Architecture) -> dict[str, str]:
    """Texts, by file name, that the space adds to the folder of an architecture; most spaces add none."""
    space = parts.space
    return dict(space.files(replay(space, architecture))) if isinstance(space, FileSpace) else {}
