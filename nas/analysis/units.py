"""Names of what a protocol counts: the steps of a budget, and the tasks of a bank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..trial import Trial


def budget_unit(protocol: Mapping[str, Any]) -> str:
    """'outer steps' of meta-training, unless the protocol names another unit, such as 'epochs'."""
    return str(protocol.get("budget_unit", "outer steps"))


def task_unit(protocol: Mapping[str, Any]) -> str:
    """'tasks', unless the protocol names another unit, such as 'examples' of one data set."""
    return str(protocol.get("task_unit", "tasks"))


def budget_unit_of(trials: Sequence[Trial]) -> str:
    """The unit of the trials' budgets, as the first score among them has it."""
    return budget_unit(next((trial.score.protocol for trial in trials if trial.score is not None), {}))
