"""Networks of a run as export folders: its winner, or any trial of its search."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..adaptation_rule import AdaptationRule
from ..analysis.final_result import Measured
from ..architecture import Architecture
from ..config import parts as components
from ..config.parts import Parts, learner_of
from ..config.paths import without_data_folders
from ..config.schema import Config
from ..data.preprocessing import Preprocessing, from_json
from ..errors import COPY_RUN, ConfigError, NasError, RunError
from ..export.card import Card
from ..export.contents import PARTS
from ..failures import attempt, reason
from ..protocols.evaluators import Measurer
from ..protocols.learners import LEARNER, Learner, Portable
from ..protocols.spaces import FileSpace
from ..protocols.tasks import Labelled, Preprocessed, TaskFamily
from ..registry import user_files
from ..space.sampling import replay
from ..store.sqlite_store import Store
from ..task import FRESH, Bank, Kind
from ..trial import Score, Trial
from .artifacts import graph_of
from .card import card_of_trial, card_of_winner, choice_rows
from .folder import RunFolder, config_of, final_of
from .taken_options import readable_options

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)
PRETRAINING: Final = "finetune"
"""The learner whose meta-training is plain pre-training."""


@dataclass(frozen=True)
class ExportOptions:
    """What is exported.

    Attributes:
        parts: The parts to write (`nas.export.contents`).
        trial: Number of a trial; None for the winner.
        pretrained: Whether the same network is also trained by plain pre-training, for `nas adapt --compare`.
    """

    parts: tuple[str, ...] = PARTS
    trial: int | None = None
    pretrained: bool = False


@dataclass(frozen=True)
class Chosen:
    """The network to export.

    Attributes:
        architecture: Its architecture.
        seed: Seed of its meta-training.
        network: The network with its meta-learned weights.
        result: Its result, for the recipe.
        protocol: Protocol of the result.
        card: Its card.
    """

    architecture: Architecture
    seed: int
    network: nn.Module
    result: Mapping[str, Any]
    protocol: Mapping[str, Any]
    card: Card


WINNER: Final = ExportOptions()


def export_network(
    run: RunFolder,
    store: Store,
    parts: Parts,
    folder: Path,
    options: ExportOptions = WINNER,
    config: Config | None = None,
) -> list[Path]:
    """Writes a network of a run with its meta-learned weights to a new folder.

    The winner's weights are those of the meta-training that did best on the fresh validation tasks. Another trial is
    meta-trained now with the budget of the finals, unless the finals did so; the weights are kept in the run's folder.

    Args:
        run: The run.
        store: Its store.
        parts: The components that its config names.
        folder: The folder to write, which does not exist yet or is empty.
        options: What is exported.
        config: The config with the present places of the user's files; None for the one that the store holds.

    Returns:
        The files.

    Raises:
        RunError: The run has no winner, or no such trial with a result; or the trial cannot be meta-trained.
        ConfigError: The folder cannot be used.
    """
    from ..export.writing import Extras, check_target, export

    check_target(folder)
    if options.pretrained and isinstance(parts.measurer.tasks, Labelled):
        raise ConfigError("this network is trained by plain supervised training already; leave out --pretrained")
    config = config or config_of(store)
    chosen = _winner(run, store, parts) if options.trial is None else _of_trial(run, store, parts, options.trial)
    measurer = parts.measurer
    space = parts.space
    choices = readable_options(space, chosen.architecture)
    files, classes = _files_beside(store), list(chosen.card.classes)
    recipe = {
        "run": run.name,
        "seed": chosen.seed,
        **chosen.result,
        **({"classes": classes} if classes else {}),
        "config": without_data_folders(config).to_json(),
        **({"files": files} if files else {}),
    }
    return export(
        folder,
        network=chosen.network,
        architecture=chosen.architecture,
        shape=measurer.tasks.shape,
        recipe=user_files.shortened(recipe),
        extras=Extras(
            graph=graph_of(parts, chosen.architecture),
            rule=_rule_of(learner_of(measurer, chosen.architecture), measurer.tasks.shape.kind, chosen.network),
            preprocessing=_preprocessing(measurer.tasks, chosen.protocol),
            card=replace(chosen.card, choices=choice_rows(choices)),
            options=choices,
            texts=dict(space.files(replay(space, chosen.architecture))) if isinstance(space, FileSpace) else {},
            pretrained=_pretrained(config, chosen) if options.pretrained else None,
            parts=options.parts,
        ),
    )


def _winner(run: RunFolder, store: Store, parts: Parts) -> Chosen:
    final, config, measurer = final_of(store), config_of(store), parts.measurer
    if final is None:
        raise RunError(f"run {run.name!r} has no winner yet; continue it with `nas resume {run.name}`")
    winner = final.winner
    if winner is None:
        raise RunError(f"run {run.name!r} has no winner: its test failed; `nas show {run.name}` says why")
    architecture, seed = winner.architecture, winner.weights_seed
    if seed is None:
        raise RunError(f"run {run.name!r} does not say which weights of its winner are the best; search again")
    network = measurer.trained(architecture, config.final_budget, seed, run.weights(architecture, seed))
    trial = next((each for each in store.trials() if each.number == winner.number), None)
    card = card_of_winner(final, config, parts, trial)
    return Chosen(architecture, seed, network, {"test": _test(winner)}, winner.protocol, card)


def _preprocessing(tasks: TaskFamily, protocol: Mapping[str, Any]) -> Preprocessing | None:
    """How data become inputs: as the protocol says, which needs no data; else as the family does."""
    described = protocol.get("tasks")
    stored = described.get("preprocessing") if isinstance(described, Mapping) else None
    if stored is not None:
        return from_json(stored)
    return tasks.preprocessing() if isinstance(tasks, Preprocessed) else None


class Training(NamedTuple):
    """A meta-training.

    Attributes:
        architecture: Architecture of the network.
        budget: Outer steps.
        seed: Seed of the training.
    """

    architecture: Architecture
    budget: int
    seed: int


def _test(winner: Measured) -> dict[str, Any]:
    return {"value": winner.value, "interval": winner.estimate.interval, "protocol": dict(winner.protocol)}


def _of_trial(run: RunFolder, store: Store, parts: Parts, number: int) -> Chosen:
    trial, config, measurer = trial_of(run, store, number), config_of(store), parts.measurer
    final = final_of(store)
    if final is not None and final.winner is not None and final.winner.number == number:
        return _winner(run, store, parts)
    architecture, seed = trial.architecture, config.search.seed + 1  # the first seed of the finals
    weights = run.weights(architecture, seed)
    if not weights.exists() and not os.access(run.folder, os.W_OK):
        raise RunError(
            f"trial {number} has no stored weights, and {run.folder}, where they are kept, is read-only; {COPY_RUN}"
        )
    bank = Bank("validation", FRESH, config.final.validation_tasks)
    training = Training(architecture, config.final_budget, seed)
    score = _measured(measurer, training, bank, weights, f"trial {number}")
    network = measurer.trained(architecture, config.final_budget, seed, weights)
    result = {"trial": number, "validation": {"value": score.value, "protocol": dict(score.protocol)}}
    card = card_of_trial(trial, score, config, parts)
    return Chosen(architecture, seed, network, result, score.protocol, card)


def trial_of(run: RunFolder, store: Store, number: int) -> Trial:
    """A trial of a run that has a result of its own.

    Raises:
        RunError: There is no such trial, or it failed, is not evaluated yet, or shares another's result.
    """
    trials = {trial.number: trial for trial in store.trials()}
    if number not in trials:
        there = f"they go from {min(trials)} to {max(trials)}" if trials else "it has none yet"
        raise RunError(f"run {run.name!r} has no trial {number}; {there}")
    trial = trials[number]
    if trial.duplicate_of is not None:
        raise RunError(f"trial {number} is the same network as trial {trial.duplicate_of}; export that one")
    if trial.state == "failed":
        raise RunError(f"trial {number} failed: {trial.error}; choose another, `nas show {run.name}` lists them")
    if trial.state != "done":
        raise RunError(f"trial {number} has no result yet; continue the run with `nas resume {run.name}`")
    return trial


def _measured(measurer: Measurer, training: Training, bank: Bank, weights: Path, what: str) -> Score:
    """The score on a bank; a network that has no weights yet is meta-trained, which is said with its time."""
    architecture, budget, seed = training
    stored = weights.exists()
    if not stored:
        log.warning("%s has no stored weights and is trained now, with a budget of %d", what, budget)
    started = time.monotonic()
    measured = attempt(measurer.measure, architecture, budget, seed, bank=bank, weights=weights)
    if isinstance(measured.error, NasError):
        raise measured.error
    if measured.error is not None:
        raise RunError(f"{what} cannot be trained: {reason(measured.error)}") from measured.error
    if not stored:
        log.warning("%s was trained and measured in %.1f s", what, time.monotonic() - started)
    return measured.value


def _pretrained(config: Config, chosen: Chosen) -> nn.Module:
    """The network after plain pre-training with the outer steps, the tasks and the seed of the exported one."""
    evaluator = config.evaluator.model_copy(update={"learner": PRETRAINING})
    measurer = components.build(config.model_copy(update={"evaluator": evaluator})).measurer
    bank = Bank("validation", FRESH, min(2, config.final.validation_tasks))  # its score is not used
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "pretrained.safetensors"
        budget, what = config.final_budget, "the plainly pre-trained network"
        _measured(measurer, Training(chosen.architecture, budget, chosen.seed), bank, weights, what)
        return measurer.trained(chosen.architecture, budget, chosen.seed, weights)


def _files_beside(store: Store) -> dict[str, str]:
    """Digests of the user's files by their paths relative to the files that the config names."""
    texts, config = store.meta.get("files", {}), store.meta.get("config", {})
    names = (table.get("name", "") for table in config.values() if isinstance(table, Mapping))
    bases = [Path(name.rpartition(":")[0]).parent for name in names if user_files.is_user_class_name(str(name))]
    return {_relative(Path(path), bases): digest for path, digest in user_files.digests(texts).items()}


def _relative(path: Path, bases: list[Path]) -> str:
    return next((path.relative_to(base).as_posix() for base in bases if path.is_relative_to(base)), path.name)


def _rule_of(learner: Learner, kind: Kind, network: nn.Module) -> AdaptationRule | None:
    """How a learner adapts the network; None where it does not say."""
    if not isinstance(learner, Portable):
        return None
    parameters = {
        name: p.detach() for name, p in network.named_parameters() if p.requires_grad or name.startswith(LEARNER)
    }
    rule = learner.adaptation(network, parameters, kind)
    return None if rule.head_only and rule.head is None else rule  # Without a head there is nothing to be adapted.
