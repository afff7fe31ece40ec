"""One search of a comparison: who searches, with which seed, and what came of it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

from ..analysis.comparison import Point, Result
from ..analysis.protocol_check import SPACE_TABLE, normal
from ..analysis.ranking import best, leaders
from ..config.parts import build, measures
from ..config.paths import file_digests, space_digest
from ..config.reading import Component, Config
from ..errors import ConfigError, NasError, nearest, shown
from ..executors.inline_executor import InlineExecutor
from ..failures import attempt, reason
from ..protocols import Evaluator, Tabled, TaskFamily
from ..registry import components, user_files
from ..runs.preflight import check_table
from ..runs.tabular_result import reported
from ..search.loop import search
from ..store.memory_store import MemoryStore
from ..trial import Trial, without_duplicates

UNTOLD = ("workers", "deadline_s", "control")
"""Keys of [search] that change no result of a comparison."""


def entered(config: Config, label: str, seed: int) -> Config:
    """The config of one search: a contender in place of the controller, and the seed, counted from the config's own.

    `label` is of a table [compare.LABEL], or a controller's name; [controller] holds the options of that one. Raises
    ConfigError for any other, and for a budget or rungs of a contender's own where no seconds make the budgets equal.
    """
    search_table, evaluator, table = config.search, config.evaluator, config.compare.get(label)
    search_table = search_table.model_copy(update={"control": "none"})
    if table is not None:
        name = user_files.absolute(table.name or label)
        controller = Component.model_validate({"name": name, **table.options})
        if (table.fidelity or table.budget) and not search_table.seconds:
            raise ConfigError(f"compare.{label}: budgets are not equal; give search.seconds, or leave its own out")
        given = {"fidelity": table.fidelity, "repeats": table.repeats}
        evaluator = evaluator.model_copy(update={"budget": table.budget or evaluator.budget})
        search_table = search_table.model_copy(update={key: value for key, value in given.items() if value is not None})
    else:
        name = user_files.absolute(label)
        controller = config.controller if config.controller.name == name else Component(name=name)
    try:
        components.find("controller", name)
    except ConfigError:
        if ":" in name:  # a file of one's own, or a sampler of Optuna: it says more
            raise
        known = {*components.names("controller"), *config.compare}
        raise ConfigError(f"controller {shown(name)} is not known: {nearest(name, known)}") from None
    search_table = search_table.model_copy(update={"seed": search_table.seed + seed})
    changed = {"controller": controller, "evaluator": evaluator, "search": search_table, "compare": {}}
    return config.model_copy(update=changed)


def fingerprint(config: Config) -> str:
    """What tells the searches of a comparison apart: all that could change a result, the content of its data too.

    Raises NasError for a config that cannot be searched by, as far as that is seen without a search."""
    told = config.to_json()
    told["search"] = {key: value for key, value in told["search"].items() if key not in UNTOLD}
    if files := config.files:
        told["files"] = user_files.digests(files)
    parts = build(config)
    if isinstance(parts.evaluator, Tabled):
        told["protocol"] = check_table(config, parts)
    elif measures(parts.evaluator):
        told["described"] = _described(parts.measurer.tasks)
        told["data"] = file_digests(config)  # read anew, where a process keeps what it has loaded
    if (rows := space_digest(config)) is not None:
        told[SPACE_TABLE] = rows
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _described(tasks: TaskFamily) -> dict[str, Any]:
    found, error = attempt(tasks.describe)
    if error is not None:
        raise error if isinstance(error, NasError) else ConfigError(f"{tasks.name} has no description: {reason(error)}")
    return normal(found)


def run_name(label: str, seed: int, config: Config) -> str:
    """The name of a search's run in the folder of a comparison."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', Path(label).name)[:40]}-{seed}-{fingerprint(config)[:8]}"


def look_up(config: Config, label: str, seed: int) -> Result:
    """Searches a table, in memory. `config` is what `entered` gave; the result is named by `label` and `seed`."""
    parts = build(config)
    heard: list[Trial] = []
    store = MemoryStore()
    search(
        space=parts.space,
        controller=parts.controller,
        evaluator=parts.evaluator,
        store=store,
        executor=InlineExecutor(),
        trials=config.search.trials,
        budget=config.evaluator.budget,
        seed=config.search.seed,
        workers=1,
        fidelity=config.fidelity,
        duplicates=config.search.repeats,
        seconds=config.search.seconds or math.inf,
        on_trial=heard.append,
    )
    [winner] = leaders(store.trials(), 1)
    return result_of(heard, label, seed, parts.evaluator, reported(winner, parts.evaluator))


def result_of(heard: list[Trial], label: str, seed: int, evaluator: Evaluator, final: float) -> Result:
    """The result of a search from its trials in the order of their ends, and the value reported of its winner."""
    new = without_duplicates(heard)
    total = math.fsum(trial.seconds or 0.0 for trial in new)
    return Result(label, seed, final, len(new), total, _curve(new, evaluator))


def _curve(trials: list[Trial], evaluator: Evaluator) -> tuple[Point, ...]:
    points: list[Point] = []
    leader: Trial | None = None
    spent = 0.0
    for count, trial in enumerate(trials, 1):
        spent += trial.seconds or 0.0
        found = best([trial] if leader is None else [leader, trial])
        if found and found[0] is not leader:
            leader = found[0]
            points.append(Point(count, spent, leader.value, reported(leader, evaluator)))
    return tuple(points)
