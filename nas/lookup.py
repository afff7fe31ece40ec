"""How a search ends whose evaluator makes no networks: its best candidate, with what a table reports of it."""

from __future__ import annotations

import random
from typing import Any

from . import control
from .architecture import Architecture, Trial
from .config import CONTROL, Config, Parts
from .config_paths import space_digest
from .errors import ConfigError, DataError, SearchError
from .executors.attempt import attempt
from .front import check_costs, objectives_of
from .protocol_check import SPACE_TABLE, normal
from .protocols import Evaluator, Protocolled, Tabled
from .repeats import network_key
from .runs import leaders
from .space import sample
from .store import Store

KIND = "table"
LOOKS = 100
"""Architectures that are looked up before a table is said to lack what is asked of it."""


def conclude(store: Store, config: Config, evaluator: Evaluator, rival: Store | None) -> dict[str, Any]:
    """The result as JSON values, also stored as the record 'final'. `rival` is the store of the run's random control.

    Raises SearchError where no candidate was scored."""
    [leader] = leaders(store.trials(), 1)
    winner = _entry(leader, evaluator)
    result: dict[str, Any] = {
        "kind": KIND,
        "finalists": [],
        "median": None,
        "winner": winner,
        "baseline": None,
        "difference": None,
        "control": None
        if rival is None
        else {**_control(rival, winner, evaluator), "anytime": control.both(config, store, rival)},
        "warning": None,
        "failures": [],
    }
    store.put("final", result)
    return result


def check_table(config: Config, parts: Parts) -> dict[str, Any]:
    """Looks an architecture up, where the evaluator is a table: its scores on each rung, its report, its cost where the
    search has a limit, the controller's objectives. Returns the protocol of its score, or nothing without a table.

    A table may have holes, so another one is looked up where something is missing; raises NasError, for the first,
    where all of many lack what the config asks of a table."""
    rng = random.Random(0)
    first = sample(parts.space, rng)
    network_key(parts.space, first)
    if not isinstance(parts.evaluator, Tabled):
        return {}
    protocol, error = attempt(_look, config, parts.evaluator, first)
    for _ in range(LOOKS):
        if not isinstance(error, DataError):
            break
        protocol, other = attempt(_look, config, parts.evaluator, sample(parts.space, rng))
        error = error if other is not None else None
    if error is not None:
        raise error
    found: dict[str, Any] = protocol
    return found


def search_protocol(config: Config, evaluator: Evaluator) -> dict[str, Any] | None:
    """The protocol that the scores of a search's candidates will have, and with a space that is a table the digest of
    its rows; None where neither is told. Raises NasError."""
    rows = space_digest(config)
    space = {} if rows is None else {SPACE_TABLE: rows}
    if not isinstance(evaluator, Protocolled):
        return space or None
    return {**normal(evaluator.search_protocol(config.budgets[0], config.budgets[-1])), **space}


def _look(config: Config, table: Tabled, architecture: Architecture) -> dict[str, Any]:
    table.check(architecture)
    for budget in config.budgets:
        score = table.evaluate(architecture, budget, config.search.seed)
        _, error = attempt(check_costs, objectives_of(config.to_json()), score.metrics)
        if error is not None:
            raise ConfigError(f"{error}; evaluator.metrics names the columns that a table's scores have") from error
        table.reported(architecture, budget)
        if config.search.seconds:
            table.seconds(architecture, budget)
    return dict(score.protocol)


def _control(rival: Store, winner: dict[str, Any], evaluator: Evaluator) -> dict[str, Any]:
    try:
        [leader] = control.best_of(rival, 1)
    except SearchError as error:
        return {"name": CONTROL, "error": str(error)}
    found = _entry(leader, evaluator)
    return {"name": CONTROL, **found, "difference": {"value": winner["value"] - found["value"]}}


def _entry(trial: Trial, evaluator: Evaluator) -> dict[str, Any]:
    value = reported(trial, evaluator)
    return {
        "number": trial.number,
        "search_value": trial.value,
        "key": trial.architecture.key,
        "architecture": trial.architecture.to_json(),
        "value": value,
        "budget": trial.budget,
        "protocol": dict(trial.score.protocol) if trial.score else {},
    }


def reported(trial: Trial, evaluator: Evaluator) -> float:
    """What a table reports of a trial's architecture; of another evaluator the score itself."""
    return evaluator.reported(trial.architecture, trial.budget) if isinstance(evaluator, Tabled) else trial.value
