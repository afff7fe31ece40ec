"""Report of a run as one static page, which loads nothing, and whose only script sorts and filters its tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..analysis import ranking
from ..analysis.final_result import FinalResult
from ..analysis.intervals import TASKS
from ..analysis.pareto_front import objectives_of
from ..analysis.units import task_unit
from ..trial import Trial
from . import attribution, choices, coverage, figures, pareto_front, random_control, sections
from .details import NO_DETAILS, Details
from .outcome import outcome
from .page import Page
from .rendering import rendered, write_text
from .trial_text import trial_text


def write_html(
    path: Path,
    *,
    name: str,
    config: Mapping[str, Any],
    trials: Sequence[Trial],
    final: FinalResult | None = None,
    details: Details = NO_DETAILS,
) -> None:
    """Writes the page of a run, finished or not; an older page at `path` is replaced in one step.

    Args:
        path: The file.
        name: The run's name.
        config: Its config as JSON values.
        trials: The trials of its search.
        final: Its final result; None for a run that is not done.
        details: What its space says of the trials, and how it is repeated.

    Raises:
        ConfigError: `path` cannot be written.
    """
    write_text(path, html_text(name=name, config=config, trials=trials, final=final, details=details))


def html_text(
    *,
    name: str,
    config: Mapping[str, Any],
    trials: Sequence[Trial],
    final: FinalResult | None = None,
    details: Details = NO_DETAILS,
    live: bool = False,
) -> str:
    """The page of a run as text.

    Args:
        name: The run's name.
        config: Its config as JSON values.
        trials: The trials of its search.
        final: Its final result; None for a run that is not done.
        details: What its space says of the trials, and how it is repeated.
        live: Whether `nas.report.serving` serves it, so that it loads itself anew when the run has gone on.
    """
    return rendered(_page(name, config, sorted(trials, key=lambda trial: trial.number), final, details), live=live)


def _page(
    name: str,
    config: Mapping[str, Any],
    trials: Sequence[Trial],
    final: FinalResult | None,
    details: Details,
) -> Page:
    # The scores of a search may be of another kind than the final ones, as zero-cost scores are.
    accuracies = all(0 <= trial.value <= 1 for trial in trials if trial.score is not None)
    percent = final is not None and final.percent and accuracies
    label = "accuracy" if percent else "score"
    unit = task_unit(next((trial.score.protocol for trial in trials if trial.score is not None), {}))
    purpose = "learns from few examples" if unit == TASKS else "is trained on one data set"
    candidates = ranking.comparable(trials)
    options = {trial.number: details.options_of(trial.architecture) for trial in candidates}
    tips = {trial.number: trial_text(trial, options[trial.number], percent=percent) for trial in candidates}
    winner = final.winner if final is not None else None
    leaders = [winner.architecture] if winner is not None else [t.architecture for t in ranking.best(trials)]
    graph = details.graph_of(leaders[0]) if leaders else None
    costs = objectives_of(config)
    remarks = [*(f"Warning: {text}." for text in details.warnings), random_control.note(config, final)]
    return Page(
        name=name,
        state=details.state,
        outcome=outcome(trials, final, remarks, percent=percent),
        about=f"A search for a network that {purpose}",
        unit=unit,
        percent=percent,
        cards=sections.cards(trials, final, percent=percent),
        origin=sections.origin(trials),
        results=sections.results(final) if final is not None else None,
        tested=sections.tested(final) if final is not None else [],
        notes=list(coverage.sentences(final)) if final is not None else [],
        charts=sections.charts(trials, final, tips, percent=percent),
        front=pareto_front.section(trials, costs, tips, label=label, percent=percent),
        cell="" if graph is None else figures.cell(graph),
        cell_owner="winner" if winner is not None else "best candidate so far",
        cells=sections.cells(trials, details, percent=percent),
        best_choices=sections.best_choices(trials, final, details),
        rungs=sections.rungs(trials, percent=percent),
        attribution=attribution.section(final),
        choices=choices.section(details.effects, candidates, options, label=label, percent=percent),
        finalists=sections.finalists(final) if final is not None else None,
        trials=sections.all_trials(trials, percent=percent),
        failures=sections.failures(trials),
        config=json.dumps(config, indent=2, ensure_ascii=False, default=str),
        commands=details.commands,
    )
