"""Pareto front of a search, as the report's page and the terminal show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..analysis.pareto_front import Front, front_of, numbers
from ..analysis.ranking import comparable
from ..trial import Trial
from . import figures
from .formatting import listed, number
from .tables import Table

UNITS = {
    "parameters": ("parameters", 1, "{:,.0f}"),
    "flops": ("MFLOPs", 1e6, "{:,.2f}"),
    "latency_ms": ("ms", 1, "{:.3g}"),
}
"""Units of costs: name, size, and format of a number of them; other costs are written without a unit."""


@dataclass(frozen=True)
class FrontSection:
    """Section of the report's page: the front in a table, its hypervolume, and charts as SVG elements."""

    title: str
    table: Table
    hypervolume: str
    charts: Sequence[str]


def section(
    trials: Sequence[Trial],
    costs: Sequence[str],
    tips: figures.Tips = figures.NO_TIPS,
    *,
    label: str,
    percent: bool,
) -> FrontSection | None:
    """The page's section on the front of a search, with charts of the objectives that the search had.

    Args:
        trials: The search's trials.
        costs: Objectives of its controller; without any, the front is of score against parameters.
        tips: Texts of the trials' points.
        label: Label of the charts' score axis.
        percent: Whether scores are accuracies, shown as percentages.
    """
    front = front_of(trials, costs)
    if front is None:
        return None
    heads = ["trial", "score", "± standard error", *(_unit(cost)[0] for cost in front.costs)]
    on_front = {trial.number for trial in front.trials}
    charts = [
        figures.costs(comparable(trials), label=label, percent=percent, cost=cost, front=on_front, tips=tips)
        for cost in costs
    ]
    return FrontSection(
        _title(front),
        Table(heads, _rows(front, percent), num_numbers=len(heads) - 1),
        _hypervolume(front, percent),
        [svg for svg in charts if svg],
    )


def text(front: Front, percent: bool, *, most: int = 10) -> str:
    """The front for the terminal; of a long one `most` of its trials, evenly spaced."""
    units = [_unit(cost)[0] for cost in front.costs]
    rows = _rows(front, percent)
    shown = rows if len(rows) <= most else [rows[i * (len(rows) - 1) // (most - 1)] for i in range(most)]
    lines = [f"{_title(front)}: {len(rows)} that no other beats in everything"]
    for number_, score, _, *costs in shown:
        lines.append(f"{number_:>6}{score:>9}  {', '.join(f'{a} {b}' for a, b in zip(costs, units, strict=True))}")
    if len(shown) < len(rows):
        lines.append(f"{len(rows) - len(shown)} between them; all with --json")
    return "\n".join([*lines, _hypervolume(front, percent)])


def _title(front: Front) -> str:
    return f"Pareto front of score against {listed(front.costs)}"


def _rows(front: Front, percent: bool) -> list[list[str]]:
    """Trial, score, its standard error, costs."""
    return [
        [
            f"#{trial.number}",
            number(trial.value, percent),
            number(trial.stderr, percent, bare=True),
            *_costs(front, numbers(trial, front.costs)),
        ]
        for trial in front.trials
    ]


def _hypervolume(front: Front, percent: bool) -> str:
    """The hypervolume, and the box that it is a part of."""
    if front.hypervolume is None:
        return "Hypervolume: none, for all candidates have the same score or the same cost."
    units = [_unit(cost)[0] for cost in front.costs]
    worst, best = (
        ", ".join([number(end[0], percent), *(f"{a} {b}" for a, b in zip(_costs(front, end), units, strict=True))])
        for end in (front.worst, front.best)
    )
    return (
        f"Hypervolume: {front.hypervolume:.3f} of the box from the worst of all candidates in each ({worst}; the "
        f"reference point) to the best ({best})."
    )


def _costs(front: Front, numbers: Sequence[float]) -> list[str]:
    """The costs of a point of the front, which follow its score."""
    return [
        form.format(value / size) for (_, size, form), value in zip(map(_unit, front.costs), numbers[1:], strict=True)
    ]


def _unit(cost: str) -> tuple[str, float, str]:
    return UNITS.get(cost, (cost, 1, "{:.4g}"))
