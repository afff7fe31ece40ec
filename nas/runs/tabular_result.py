"""Final result of a search whose evaluator makes no networks: its best candidate, with what a table reports of it."""

from __future__ import annotations

from dataclasses import replace

from ..analysis.final_result import TABLE, ControlResult, FinalResult, Measured
from ..analysis.intervals import Estimate
from ..analysis.ranking import leaders
from ..config.parts import CONTROL
from ..errors import SearchError
from ..protocols.evaluators import Evaluator, Tabled
from ..store.sqlite_store import Store
from ..trial import Trial
from . import extending, random_control
from .context import RunContext
from .folder import FINAL


def conclude(context: RunContext, control: Store | None) -> FinalResult:
    """The final result, which is also stored.

    Args:
        context: The run, whose search has ended.
        control: Store of its random-search control, where it has one.

    Raises:
        SearchError: No candidate has a score.
    """
    [leader] = leaders(context.store.trials(), 1)
    winner = _entry(leader, context.parts.evaluator)
    result = FinalResult(
        kind=TABLE,
        winner=winner,
        control=None if control is None else _control(context, control, winner),
        warning="; ".join(extending.notes(context.store, context.config.search.trials)) or None,
    )
    context.store.put(FINAL, result.to_json())
    return result


def reported(trial: Trial, evaluator: Evaluator) -> float:
    """The value that a table reports for a trial's architecture; for another evaluator the score itself."""
    return evaluator.reported(trial.architecture, trial.budget) if isinstance(evaluator, Tabled) else trial.value


def _control(context: RunContext, control: Store, winner: Measured) -> ControlResult:
    both = random_control.both_anytime(context, control)
    try:
        [leader] = random_control.best_of(control, 1)
    except SearchError as error:
        return ControlResult(CONTROL, error=str(error), anytime=both)
    entry = _entry(leader, context.parts.evaluator)
    difference = Estimate(winner.value - entry.value)
    return ControlResult(CONTROL, best=replace(entry, name=CONTROL, difference=difference), anytime=both)


def _entry(trial: Trial, evaluator: Evaluator) -> Measured:
    estimate = Estimate(reported(trial, evaluator))
    protocol = trial.score.protocol if trial.score else {}
    return Measured(trial.architecture, estimate, budget=trial.budget, protocol=protocol).of_trial(trial)
