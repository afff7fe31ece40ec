"""How a search ends whose evaluator makes no networks: its best candidate, with what a table reports of it."""

from __future__ import annotations

from typing import Any

from .architecture import Trial
from .protocols import Evaluator, Tabled
from .runs import leaders
from .store import Store

KIND = "table"


def conclude(store: Store, evaluator: Evaluator) -> dict[str, Any]:
    """The result as JSON values, also stored as the record 'final'.

    Raises SearchError where no candidate was scored."""
    [leader] = leaders(store.trials(), 1)
    result: dict[str, Any] = {
        "kind": KIND,
        "finalists": [],
        "median": None,
        "winner": _entry(leader, evaluator),
        "baseline": None,
        "difference": None,
        "control": None,
        "warning": None,
        "failures": [],
    }
    store.put("final", result)
    return result


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
