"""How a search ends whose evaluator makes no networks: its best candidate, with what a table reports of it."""

from __future__ import annotations

from typing import Any

from ..analysis.final_result import KIND
from ..analysis.ranking import leaders
from ..config.parts import CONTROL
from ..config.reading import Config
from ..errors import SearchError
from ..protocols import Evaluator, Tabled
from ..store.sqlite_store import Store
from ..trial import Trial
from . import random_control


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
        else {**_control(rival, winner, evaluator), "anytime": random_control.both(config, store, rival)},
        "warning": None,
        "failures": [],
    }
    store.put("final", result)
    return result


def _control(rival: Store, winner: dict[str, Any], evaluator: Evaluator) -> dict[str, Any]:
    try:
        [leader] = random_control.best_of(rival, 1)
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
