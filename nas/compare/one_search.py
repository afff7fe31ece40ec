"""One search of a comparison: its config, fingerprint and result."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

from ..analysis.comparison import Point, Result
from ..analysis.protocol_check import SPACE_TABLE, normal
from ..analysis.ranking import better, leaders
from ..config.parts import build, measures
from ..config.paths import file_digests, space_digest
from ..config.schema import Component, Config
from ..errors import ConfigError, NasError, nearest, shown
from ..executors.inline_executor import InlineExecutor
from ..failures import attempt, reason
from ..protocols.evaluators import Evaluator, Tabled
from ..protocols.tasks import TaskFamily
from ..registry import components, user_files
from ..runs.preflight import check_table
from ..runs.tabular_result import reported
from ..search.loop import search
from ..search.options import SearchOptions
from ..store.memory_store import MemoryStore
from ..trial import Trial, without_duplicates

WITHOUT_EFFECT = ("engine", "workers", "deadline_s", "memory_gb", "gpu_memory_gb", "control")
"""Keys of [search] that change no result of a comparison."""


def entered(config: Config, label: str, seed: int) -> Config:
    """The config of one search of a comparison.

    Args:
        config: The config of the comparison.
        label: A table [compare.LABEL], or a controller's name; that of [controller] keeps the options there.
        seed: Number of the search, added to the config's own seed.

    Raises:
        ConfigError: The label is not known, or its table has a budget or rungs of its own while no `search.seconds`
            make the budgets equal.
    """
    search_table, evaluator, table = config.search, config.evaluator, config.compare.get(label)
    search_table = search_table.model_copy(update={"control": "none"})
    if table is not None:
        name = user_files.absolute(table.name or label)
        controller = Component.model_validate({"name": name, **table.options})
        if (table.fidelity or table.budget) and not search_table.seconds:
            raise ConfigError(f"compare.{label}: budgets are not equal; give search.seconds, or leave its own out")
        own = {"fidelity": table.fidelity, "repeats": table.repeats}
        evaluator = evaluator.model_copy(update={"budget": table.budget or evaluator.budget})
        search_table = search_table.model_copy(update={key: value for key, value in own.items() if value is not None})
    else:
        name = user_files.absolute(label)
        controller = config.controller if config.controller.name == name else Component(name=name)
    try:
        components.find("controller", name)
    except ConfigError:
        if ":" in name:  # A user's file or a sampler of Optuna, whose own message says more.
            raise
        known = {*components.names("controller"), *config.compare}
        raise ConfigError(f"controller {shown(name)} is not known: {nearest(name, known)}") from None
    search_table = search_table.model_copy(update={"seed": search_table.seed + seed})
    changed = {"controller": controller, "evaluator": evaluator, "search": search_table, "compare": {}}
    return config.model_copy(update=changed)


def fingerprint(config: Config) -> str:
    """A digest of all that could change the result of a search, including the content of its data.

    Raises:
        NasError: The config cannot be used, as far as that shows without a search.
    """
    settings = config.to_json()
    settings["search"] = {key: value for key, value in settings["search"].items() if key not in WITHOUT_EFFECT}
    if files := config.files:
        settings["files"] = user_files.digests(files)
    parts = build(config)
    if isinstance(parts.evaluator, Tabled):
        settings["protocol"] = check_table(config, parts)
    elif measures(parts.evaluator):
        settings["described"] = _described(parts.measurer.tasks)
        settings["data"] = file_digests(config)  # Read again, since a process keeps what it has loaded.
    if (rows := space_digest(config)) is not None:
        settings[SPACE_TABLE] = rows
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _described(tasks: TaskFamily) -> dict[str, Any]:
    described = attempt(tasks.describe)
    if isinstance(described.error, NasError):
        raise described.error
    if described.error is not None:
        raise ConfigError(f"{tasks.name} has no description: {reason(described.error)}")
    return normal(described.value)


def run_name(label: str, seed: int, config: Config) -> str:
    """Name of a search's run in the folder of its comparison."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', Path(label).name)[:40]}-{seed}-{fingerprint(config)[:8]}"


def look_up(config: Config, label: str, seed: int) -> Result:
    """The result of a search of a table, in memory.

    Args:
        config: What `entered` returned for the label and the seed.
        label: Name of the controller in the result.
        seed: Number of the search in the result.
    """
    parts = build(config)
    ended: list[Trial] = []
    store = MemoryStore()
    options = SearchOptions(
        trials=config.search.trials,
        budget=config.evaluator.budget,
        seed=config.search.seed,
        workers=1,
        fidelity=config.fidelity,
        duplicates=config.search.repeats,
        seconds=config.search.seconds or math.inf,
        on_trial=ended.append,
    )
    search(parts.space, parts.controller, parts.evaluator, store, InlineExecutor(), options)
    [winner] = leaders(store.trials(), 1)
    return result_of(ended, label, seed, parts.evaluator, reported(winner, parts.evaluator))


def result_of(ended: list[Trial], label: str, seed: int, evaluator: Evaluator, final: float) -> Result:
    """The result of a search.

    Args:
        ended: Its trials in the order in which they ended, duplicates included.
        label: Name of the controller in the result.
        seed: Number of the search in the result.
        evaluator: Its evaluator, which gives the reported values of the curve.
        final: Reported value of its winner.
    """
    new = without_duplicates(ended)
    total = math.fsum(trial.seconds or 0.0 for trial in new)
    return Result(label, seed, final, len(new), total, _curve(new, evaluator))


def _curve(trials: list[Trial], evaluator: Evaluator) -> tuple[Point, ...]:
    points: list[Point] = []
    leader: Trial | None = None
    spent = 0.0
    for count, trial in enumerate(trials, 1):
        spent += trial.seconds or 0.0
        if trial.score is not None and better(leader, trial) is trial:
            leader = trial
            points.append(Point(count, spent, leader.value, reported(leader, evaluator)))
    return tuple(points)
