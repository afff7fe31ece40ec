"""Outcome of a run in one sentence, and sentences on whether to believe it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..analysis.final_result import TABLE, FinalResult, Measured
from ..analysis.intervals import Estimate
from ..analysis.ranking import best, comparable
from ..trial import Trial
from .formatting import interval_of, number, probability

NO_RESULT = "No test results yet: the run has not come to its finals."


@dataclass(frozen=True)
class Outcome:
    """Head of the page.

    Attributes:
        headline: What was found, in one sentence.
        reasons: Sentences on whether to believe it.
    """

    headline: str
    reasons: Sequence[str]


def outcome(trials: Sequence[Trial], final: FinalResult | None, notes: Sequence[str], *, percent: bool) -> Outcome:
    """The outcome of a run, finished or not.

    Args:
        trials: The trials of its search.
        final: Its final result; None for a run that is not done.
        notes: Further sentences, such as on its random-search control.
        percent: Whether the search's scores are accuracies, shown as percentages.
    """
    if final is None:
        return Outcome(_unfinished(trials, percent), [NO_RESULT, *notes])
    return Outcome(_finished(final), [*_reasons(final), *notes])


def _unfinished(trials: Sequence[Trial], percent: bool) -> str:
    leaders = best(trials)
    if not leaders:
        return "No candidate has a score yet."
    scored = sum(trial.score is not None for trial in comparable(trials))
    return (
        f"Not finished: of {scored:,} scored candidates #{leaders[0].number} is best, with "
        f"{number(leaders[0].value, percent)} in the search, which is too high an estimate as the best of many."
    )


def _finished(final: FinalResult) -> str:
    winner = final.winner
    if winner is None:
        errors = [failure.error for failure in final.failures]
        return f"No winner was measured on test {final.unit}{f': {errors[0]}' if errors else ''}."
    trial = "" if winner.number is None else f", trial #{winner.number},"
    value = number(winner.value, final.percent)
    if final.kind == TABLE:
        return f"The best candidate{trial} has a reported value of {value}{_beside(final)}."
    score = f"is right on {value} of the test queries" if final.percent else f"has a test score of {value}"
    if final.percent and final.unit != "tasks":
        score = f"is right on {value} of the test {final.unit}"
    ends = "" if winner.estimate.interval is None else f" (95 % interval {interval_of(winner.estimate, final.percent)})"
    return f"The winner{trial} {score}{ends}{_size(winner, final.baseline)}{_beside(final)}."


def _size(winner: Measured, baseline: Measured | None) -> str:
    if winner.parameters is None:
        return ""
    other = baseline.parameters if baseline is not None else None
    against = "" if other is None else f" against the baseline's {other:,.0f}"
    return f" with {winner.parameters:,.0f} parameters{against}"


def _beside(final: FinalResult) -> str:
    """The comparisons with the baseline and the control."""
    parts = []
    baseline, control = final.baseline, final.control
    if final.difference is not None:
        name = f"the baseline {baseline.name}" if baseline is not None and baseline.name else "the baseline"
        parts.append(compared(final.difference, name, final.percent))
    rival = control.best if control is not None else None
    if rival is not None and rival.difference is not None:
        parts.append(compared(rival.difference, "random search at the same budget", final.percent))
    if control is None:
        parts.append("there is no random search beside it to compare with")
    return f": {'; '.join(parts)}" if parts else ""


def compared(difference: Estimate, other: str, percent: bool) -> str:
    """'4.1 points better than the baseline (95 % interval +3.2 – +5.0)', or that there is no difference beyond chance.

    Args:
        difference: By how much the value is above the other's.
        other: Name of the other.
        percent: Whether the values are accuracies.
    """
    unit = " points" if percent else ""
    signed = f"{number(difference.value, percent, signed=True)}{unit}"
    ends = difference.interval
    if ends is None:
        return f"{signed} from {other}, without an interval"
    covered = f"95 % interval {interval_of(difference, percent, signed=True)}"
    if ends[0] <= 0 <= ends[1]:
        return f"no difference beyond chance from {other} ({signed}, {covered})"
    size = number(abs(difference.value), percent, bare=True)
    return f"{size}{unit} {'better' if difference.value > 0 else 'worse'} than {other} ({covered})"


def _reasons(final: FinalResult) -> Iterator[str]:
    if final.warning:
        yield f"Warning: {final.warning}."
    median = final.median
    if median is not None and median.difference is not None:
        than = compared(median.difference, "the search's median candidate", final.percent)
        yield f"On fresh validation {final.unit}: {than}{probability(median.difference.p_value)}."
    control = final.control.best if final.control is not None else None
    if control is not None and final.winner is not None and control.key and control.key == final.winner.key:
        yield "The random search came to the same network."
    if final.winner is not None and len(final.winner.seeds) == 1:
        yield "The winner was trained once only, so nothing is known of how much trainings differ."
