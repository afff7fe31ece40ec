"""Contributions of a winning recipe's parts, on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..analysis.attribution import Attribution
from ..analysis.final_result import FinalResult
from ..analysis.intervals import Estimate
from .formatting import PAGE, TERMINAL, interval_of, number
from .interval_figures import contributions
from .tables import Table

ADDED, REMOVED = "added to the default", "removed from the winner"
TOTAL, INTERACTION = "all parts together", "interaction of the parts"


@dataclass(frozen=True)
class AttributionSection:
    """Section of the page.

    Attributes:
        table: The effects with their intervals.
        note: How they were measured.
        chart: The effects as bars, an SVG element.
    """

    table: Table
    note: str
    chart: str


def section(final: FinalResult | None) -> AttributionSection | None:
    """The section of a run's final result; None where it has no attribution."""
    if final is None or final.attribution is None:
        return None
    attribution, percent = final.attribution, final.percent
    rows = [
        [name, choice, *_cells(added, percent, PAGE), *_cells(removed, percent, PAGE)]
        for name, choice, added, removed in _rows(attribution)
    ]
    heads = ["part", "the winner's choice", ADDED, "95 % interval", REMOVED, "95 % interval"]
    bars = {effect.part: (effect.added, effect.removed) for effect in attribution.effects}
    label = "accuracy" if percent else "score"
    return AttributionSection(
        table=Table(heads, rows, num_numbers=4),
        note=_note(attribution),
        chart=contributions(bars, (ADDED, REMOVED), label=f"change of the {label}", percent=percent),
    )


def lines(final: FinalResult) -> Iterator[str]:
    """Lines of the terminal, none where there is no attribution."""
    attribution = final.attribution
    if attribution is None:
        return
    yield f"What each part of the winner contributed, {ADDED} · {REMOVED}:"
    for name, choice, added, removed in _rows(attribution):
        shown = " · ".join(
            f"{value} ({interval})"
            for value, interval in (_cells(e, final.percent, TERMINAL) for e in (added, removed))
        )
        yield f"  {name:<26}{shown}{f'   {choice}' if choice else ''}"
    yield _note(attribution)


def _rows(attribution: Attribution) -> Iterator[tuple[str, str, Estimate, Estimate]]:
    for effect in attribution.effects:
        yield effect.part, effect.choice, effect.added, effect.removed
    yield INTERACTION, "", attribution.interaction, attribution.overlap
    yield TOTAL, "", attribution.total, attribution.total


def _cells(estimate: Estimate, percent: bool, plain: str) -> tuple[str, str]:
    return (
        number(estimate.value, percent, signed=True, plain=plain),
        interval_of(estimate, percent, signed=True, plain=plain),
    )


def _note(attribution: Attribution) -> str:
    seeds = "one meta-training" if attribution.seeds == 1 else f"{attribution.seeds} meta-trainings"
    return (
        f"On {attribution.tasks:,} validation tasks that nothing else has seen, with {seeds} of each recipe, paired. "
        "The parts and their interaction sum to all parts together."
    )
