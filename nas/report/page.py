"""Page of a run's report as values, which its template writes as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .attribution import AttributionSection
from .choices import ChoicesSection
from .outcome import Outcome
from .pareto_front import FrontSection
from .tables import Table


@dataclass(frozen=True)
class Card:
    """Number in large type with its title."""

    title: str
    number: str


@dataclass(frozen=True)
class Chart:
    """Chart with its title, as an SVG element that `nas.report.figures` made."""

    title: str
    svg: str


@dataclass(frozen=True)
class Cell:
    """Picture of a candidate's cell, as a PNG in base64, with its title."""

    title: str
    png: str


@dataclass(frozen=True)
class Page:
    """Contents of the page, of which the template escapes all texts; None for parts that the run does not have yet.

    Attributes:
        name: The run's name.
        state: What the run is doing, such as 'running'; empty where it is not known.
        outcome: What was found, and whether to believe it.
        about: What was searched for, in one line.
        unit: What the values are means over, such as 'tasks'.
        percent: Whether the scores are accuracies, shown as percentages.
        cards: Its most important numbers.
        origin: Protocol and provenance of the best score.
        results: The networks on the test tasks.
        tested: Charts of these results with their intervals.
        notes: What the intervals of the results cover.
        charts: Charts of the search.
        front: Its Pareto front.
        cell: Picture of the best cell, as a PNG in base64; empty where there is none.
        cell_owner: Whose cell it is.
        cells: Cells of the best candidates.
        best_choices: The options that the winner and the best candidates took.
        rungs: The rungs of the search.
        attribution: What each part of a winning recipe contributed.
        choices: Which choices of the space mattered.
        finalists: The finalists on fresh validation tasks.
        trials: All trials.
        failures: The failed candidates.
        config: The config as JSON.
        commands: Commands that repeat, continue and export the run.
    """

    name: str
    state: str
    outcome: Outcome
    about: str
    unit: str
    percent: bool
    cards: Sequence[Card]
    origin: Table | None
    results: Table | None
    tested: Sequence[Chart]
    notes: Sequence[str]
    charts: Sequence[Chart]
    front: FrontSection | None
    cell: str
    cell_owner: str
    cells: Sequence[Cell]
    best_choices: Table | None
    rungs: Table | None
    attribution: AttributionSection | None
    choices: ChoicesSection | None
    finalists: Table | None
    trials: Table | None
    failures: Table | None
    config: str
    commands: Sequence[str]
