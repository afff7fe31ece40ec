"""Sections of the report's page: cards, tables and charts of a run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..analysis.final_result import FinalResult, Measured
from ..analysis.intervals import Estimate
from ..analysis.ranking import best, comparable, steps_spent
from ..analysis.rung_agreement import rungs as found_rungs
from ..analysis.units import budget_unit_of
from ..failures import attempt
from ..trial import Trial, without_duplicates
from . import figures
from .details import Details
from .formatting import NONE, interval, interval_of, number, probability, sizes
from .interval_figures import Row, means
from .page import Card, Cell, Chart
from .tables import Table

MOST_CELLS = 6
"""Best candidates whose cells are drawn and whose choices are listed."""
MOST_CHOICES, LONGEST_OPTION = 200, 60
"""Choices of the best candidates that are listed, and characters of an option."""


def cards(trials: Sequence[Trial], final: FinalResult | None, *, percent: bool) -> list[Card]:
    """The numbers of candidates, and the scores of the best, the median and the winner.

    Args:
        trials: The search's trials.
        final: The run's final result; None for a run that is not done.
        percent: Whether the search's scores are accuracies, shown as percentages.
    """
    new = without_duplicates(trials)
    count = {state: sum(trial.state == state for trial in new) for state in ("done", "failed", "pending")}
    candidates = sum(trial.state == "done" for trial in comparable(trials))
    shown = [Card("candidates", f"{candidates:,}"), Card("failed", f"{count['failed']:,}")]
    if count["done"] > candidates:
        shown.append(Card("promoted", f"{count['done'] - candidates:,}"))
        shown.append(Card(budget_unit_of(trials), f"{steps_spent(trials):,}"))
    if len(trials) > len(new):
        shown.append(Card("duplicates, not evaluated again", f"{len(trials) - len(new):,}"))
    if count["pending"]:
        shown.append(Card("unfinished", f"{count['pending']:,}"))
    for leader in best(trials):
        score = f"{number(leader.value, percent)} ± {number(leader.stderr, percent, bare=True)}"
        shown.append(Card(f"best in the search, #{leader.number}", score))
    if final is not None and final.median is not None:
        title = f"the search's median candidate, #{_number(final.median)}"
        shown.append(Card(title, number(final.median.value, final.percent)))
    if final is not None and final.winner is not None:
        title = f"winner on test {final.unit}, #{_number(final.winner)}"
        shown.append(Card(title, number(final.winner.value, final.percent)))
    return shown


def origin(trials: Sequence[Trial]) -> Table | None:
    """Protocol and provenance of the best score."""
    score = next((leader.score for leader in best(trials)), None)
    entries = {**score.protocol, **score.provenance} if score is not None else {}
    rows = [
        [key, entry if isinstance(entry, str) else json.dumps(entry, default=str)] for key, entry in entries.items()
    ]
    return Table(["", ""], rows) if rows else None


def results(final: FinalResult) -> Table | None:
    """Winner, baseline and control on the test tasks, and the paired differences."""
    percent, tested = final.percent, final.tested
    classes = any(entry.estimate.classes is not None for entry in tested.values())
    rows = []
    for role, entry in tested.items():
        name = "" if entry.name is None else f" {entry.name}"
        trial = "" if entry.number is None else f" #{entry.number}"
        rows.append([f"{role}{name}{trial}", *_columns(entry.estimate, percent, classes), *sizes(entry.costs)])
    control = tested.get("control")
    differences = {"": final.difference, " from the control": control.difference if control else None}
    for name, difference in differences.items():
        if difference is not None:
            title = f"difference{name}, paired{probability(difference.p_value)}"
            rows.append([title, *_columns(difference, percent, classes, signed=True), "", ""])
    heads = ["", "test accuracy" if percent else "test score", *_interval_heads(classes), "parameters", "MFLOPs"]
    return Table(heads, rows, num_numbers=len(heads) - 1, num_strong=int("winner" in tested)) if rows else None


def tested(final: FinalResult) -> list[Chart]:
    """The networks on the test tasks, and the differences from the winner, with their intervals."""
    percent, label = final.percent, "accuracy" if final.percent else "score"
    values = [Row(role, entry.value, entry.estimate.interval, entry.seeds) for role, entry in final.tested.items()]
    control = final.tested.get("control")
    against = {"baseline": final.difference, "control": control.difference if control else None}
    apart = [
        Row(f"winner − {role}", difference.value, difference.interval)
        for role, difference in against.items()
        if difference is not None
    ]
    values, apart = ([row for row in rows if math.isfinite(row.value)] for rows in (values, apart))
    drawn = {
        f"Test {label}": means(values, "Networks on the test tasks", f"test {label}", percent=percent),
        "Differences, paired": means(
            apart, "Differences on the test tasks", f"difference of the test {label}", percent=percent, zero=True
        ),
    }
    return [Chart(title, svg) for title, svg in drawn.items() if svg]


def charts(trials: Sequence[Trial], final: FinalResult | None, tips: figures.Tips, *, percent: bool) -> list[Chart]:
    """Score over trials, score against parameters, best score against evaluations, and adaptation curves.

    Args:
        trials: The search's trials.
        final: The run's final result; None for a run that is not done.
        tips: Texts of the trials' points.
        percent: Whether the search's scores are accuracies, shown as percentages.
    """
    label, adapted = "accuracy" if percent else "score", final is not None and final.percent
    control = final.control if final is not None else None
    anytime = control.anytime or {} if control is not None else {}
    drawn = {
        "Score over trials": figures.scores(comparable(trials), label=label, percent=percent, tips=tips),
        "Score against parameters": figures.costs(comparable(trials), label=label, percent=percent, tips=tips),
        "Best score against evaluations": figures.anytime(anytime, label=label, percent=percent),
        "How they adapt": figures.curves(
            _adaptation_curves(trials, final), label="accuracy" if adapted else "score", percent=adapted
        ),
    }
    return [Chart(title, svg) for title, svg in drawn.items() if svg]


def finalists(final: FinalResult) -> Table | None:
    """The finalists as measured again with several seeds: the winner, then from the last rejected to the first."""
    percent = final.percent
    classes = any(entry.estimate.classes is not None for entry in final.finalists)
    rows = []
    for entry in final.finalists:
        seeds = " · ".join(number(value, percent, bare=True) for value in entry.seeds)
        origin = [f"#{_number(entry)}", entry.key, seeds, f"{len(entry.seeds)}"]
        rows.append([*origin, *_columns(entry.estimate, percent, classes), *sizes(entry.costs)])
    columns = ["re-measured", *_interval_heads(classes), "parameters", "MFLOPs"]
    heads = ["trial", "key", "each seed", "measurements", *columns]
    return Table(heads, rows, num_numbers=len(heads) - 3) if rows else None


def all_trials(trials: Sequence[Trial], *, percent: bool) -> Table | None:
    """Every trial in the order of proposal."""
    rows = []
    for trial in trials:
        score, seconds = trial.score, "" if trial.seconds is None else f"{trial.seconds:,.1f}"
        shown = ["", ""] if score is None else [number(score.value, percent), number(score.stderr, percent, bare=True)]
        state = trial.state if trial.duplicate_of is None else f"{trial.state}, duplicate of #{trial.duplicate_of}"
        costs = sizes(score.metrics) if score is not None else ["", ""]
        rows.append([f"#{trial.number}", trial.architecture.key, state, f"{trial.budget:,}", *shown, *costs, seconds])
    heads = ["trial", "key", "state", "budget", "score", "± standard error", "parameters", "MFLOPs", "seconds"]
    return Table(heads, rows, num_numbers=6) if rows else None


def rungs(trials: Sequence[Trial], *, percent: bool) -> Table | None:
    """The rungs of a search, with the agreement of each with the next; None where all trials have one budget."""
    rows = []
    for rung in found_rungs(trials):
        leader = NONE if rung.best is None else f"#{rung.best.number}, {number(rung.best.value, percent)}"
        tau = NONE if rung.tau is None else f"{rung.tau:.2f}{probability(rung.p_value)}"
        rows.append([f"{rung.budget:,}", f"{rung.scored:,}", f"{rung.failed:,}", f"{rung.promoted:,}", leader, tau])
    heads = [
        f"budget in {budget_unit_of(trials)}",
        "scored",
        "failed",
        "scored on the next too",
        "best",
        "Kendall's τ with the next",
    ]
    return Table(heads, rows, num_numbers=5) if rows else None


def cells(trials: Sequence[Trial], details: Details, *, percent: bool) -> list[Cell]:
    """The cells of the best candidates, the best first; none where the space draws none."""
    drawn = []
    for trial in best(trials, MOST_CELLS):
        graph = details.graph_of(trial.architecture)
        parameters = sizes(trial.score.metrics)[0] if trial.score is not None else ""
        size = f" · {parameters} parameters" if parameters else ""
        if graph is not None:
            drawn.append(Cell(f"#{trial.number} · {number(trial.value, percent)}{size}", figures.cell(graph)))
    return drawn


def best_choices(trials: Sequence[Trial], final: FinalResult | None, details: Details) -> Table | None:
    """The options that the winner and the best candidates of the search took, a row for each choice.

    None where the options are not known, or there is no choice to make.
    """
    winner = final.winner if final is not None else None
    # Earlier versions stored winners without their architecture.
    columns = {f"winner, #{_number(winner)}": winner.architecture} if winner is not None and winner.key else {}
    columns |= {
        f"#{trial.number}": trial.architecture
        for trial in best(trials, MOST_CELLS)
        if winner is None or trial.architecture != winner.architecture
    }
    # A winner that an earlier version stored may be none of the present space's.
    known = {title: attempt(details.options_of, architecture) for title, architecture in columns.items()}
    taken = {title: options.value for title, options in known.items() if options.error is None}
    choices = dict.fromkeys(choice for options in taken.values() for choice in options)
    rows = [[choice, *(_option(options, choice) for options in taken.values())] for choice in choices]
    if len(rows) > MOST_CHOICES:
        rows[MOST_CHOICES:] = [[f"and {len(rows) - MOST_CHOICES:,} more choices", *[""] * len(taken)]]
    return Table(["choice", *taken], rows) if rows else None


def failures(trials: Sequence[Trial]) -> Table | None:
    """The failed candidates, with the reasons."""
    failed = [trial for trial in without_duplicates(trials) if trial.state == "failed"]
    rows = [[f"#{trial.number}", trial.architecture.key, trial.error or "no reason was given"] for trial in failed]
    return Table(["trial", "key", "reason"], rows) if rows else None


def _option(options: Mapping[str, Any], choice: str) -> str:
    text = str(options[choice]) if choice in options else NONE
    return text if len(text) <= LONGEST_OPTION else f"{text[: LONGEST_OPTION - 1]}…"


def _number(entry: Measured) -> str:
    return "?" if entry.number is None else str(entry.number)


def _columns(estimate: Estimate, percent: bool, classes: bool, *, signed: bool = False) -> list[str]:
    """Score and 95 % interval; with `classes` also the intervals for the same classes and over classes alone."""
    parts = [interval(ends, percent, signed=signed) for ends in (estimate.tasks, estimate.classes)] if classes else []
    return [number(estimate.value, percent, signed=signed), interval_of(estimate, percent, signed=signed), *parts]


def _interval_heads(classes: bool) -> list[str]:
    return ["95 % interval", "same classes", "other classes alone"] if classes else ["95 % interval"]


def _adaptation_curves(trials: Sequence[Trial], final: FinalResult | None) -> dict[str, Sequence[float]]:
    """Curves on the test tasks, then those of the finalists; without a final result, of the three best trials."""
    searched = {trial.number: trial.score.curve for trial in trials if trial.score is not None}
    if final is None:
        return {f"#{trial.number}": searched[trial.number] for trial in best(trials, 3)}
    tested = {f"{role}, test": entry.curve for role, entry in final.tested.items()}
    again = {
        f"#{_number(entry)}": entry.curve or (searched.get(entry.number, ()) if entry.number is not None else ())
        for entry in final.finalists
    }
    return {**tested, **again}
