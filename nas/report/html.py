"""Report of a run as one static page, which loads nothing and has no scripts."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..analysis.choice_effects import ChoiceEffect
from ..analysis.final_result import FinalResult
from ..analysis.intervals import TASKS
from ..analysis.pareto_front import objectives_of
from ..analysis.units import task_unit
from ..errors import ConfigError
from ..trial import Trial
from . import attribution, coverage, figures, pareto_front, random_control, sections
from .page import Page

if TYPE_CHECKING:
    import networkx as nx

TEMPLATES = Path(__file__).parent / "templates"


def write_html(
    path: Path,
    *,
    name: str,
    config: Mapping[str, Any],
    trials: Sequence[Trial],
    final: FinalResult | None = None,
    graph: nx.DiGraph | None = None,
    effects: Sequence[ChoiceEffect] = (),
) -> None:
    """Writes the page of a run, finished or not; an older page at `path` is replaced in one step.

    Args:
        path: The file.
        name: The run's name.
        config: Its config as JSON values.
        trials: The trials of its search.
        final: Its final result; None for a run that is not done.
        graph: The winner's cell, or while there is no winner that of the best trial.
        effects: Effects of the space's choices on the search's scores, the largest first.

    Raises:
        ConfigError: `path` cannot be written.
    """
    path = Path(path)
    page = _page(name, config, sorted(trials, key=lambda trial: trial.number), final)
    text = _html(
        replace(
            page, cell="" if graph is None else figures.cell(graph), choices=sections.choices(effects, page.percent)
        )
    )
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:12]}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}; choose another place") from error


def _page(
    name: str,
    config: Mapping[str, Any],
    trials: Sequence[Trial],
    final: FinalResult | None,
) -> Page:
    # The scores of a search may be of another kind than the final ones, as zero-cost scores are.
    accuracies = all(0 <= trial.value <= 1 for trial in trials if trial.score is not None)
    percent = final is not None and final.percent and accuracies
    unit = task_unit(next((trial.score.protocol for trial in trials if trial.score is not None), {}))
    purpose = "learns from few examples" if unit == TASKS else "is trained on one data set"
    return Page(
        name=name,
        about=f"A search for a network that {purpose}",
        unit=unit,
        percent=percent,
        cards=sections.cards(trials, final, percent=percent),
        origin=sections.origin(trials),
        results=sections.results(final) if final is not None else None,
        notes=_notes(final) if final is not None else [],
        control=random_control.note(config, final),
        charts=sections.charts(trials, final, percent=percent),
        front=pareto_front.section(
            trials, objectives_of(config), label="accuracy" if percent else "score", percent=percent
        ),
        cell="",
        cell_owner="winner" if final is not None and final.winner is not None else "best candidate so far",
        attribution=attribution.section(final),
        choices=None,
        finalists=sections.finalists(final) if final is not None else None,
        trials=sections.all_trials(trials, percent=percent),
        failures=sections.failures(trials),
        config=json.dumps(config, indent=2, ensure_ascii=False, default=str),
    )


def _notes(final: FinalResult) -> list[str]:
    warnings = [f"Warning: {final.warning}."] if final.warning else []
    return [*coverage.sentences(final), *warnings]


def _html(page: Page) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2").render(page=page)
