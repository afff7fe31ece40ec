"""The Pareto front as the report and the terminal show it, from `nas.analysis.pareto_front.Front.to_json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..analysis.pareto_front import front_of
from ..analysis.ranking import comparable
from ..trial import Trial
from . import figures
from .formatting import number, table

UNITS = {
    "parameters": ("parameters", 1, "{:,.0f}"),
    "flops": ("MFLOPs", 1e6, "{:,.2f}"),
    "latency_ms": ("ms", 1, "{:.3g}"),
}
"""How costs are written: in what, of how many, and in which form; others as they are."""


def section(trials: Sequence[Trial], costs: Sequence[str], *, label: str, percent: bool) -> str:
    """The front in a table with its hypervolume and, of objectives that the search had, in charts."""
    front = front_of(trials, costs)
    if front is None:
        return ""
    told = front.to_json()
    heads = ["trial", "score", "± standard error", *(_unit(cost)[0] for cost in front.costs)]
    on_it = {trial.number for trial in front.trials}
    drawn = [figures.costs(comparable(trials), label=label, percent=percent, cost=cost, front=on_it) for cost in costs]
    charts = "".join(f"<figure>{svg}</figure>" for svg in drawn if svg)
    return (
        f"<h2>{escape(_title(told))}</h2>{table(heads, _rows(told, percent), numbers=len(heads) - 1)}"
        f'<p class="soft">{escape(_volume(told, percent))}</p>'
        + (f'<div class="charts">{charts}</div>' if charts else "")
    )


def text(front: Mapping[str, Any], percent: bool, *, most: int = 10) -> str:
    """The front for the terminal; long ones by some of their trials, evenly."""
    costs = [_unit(cost)[0] for cost in front["objectives"][1:]]
    rows = _rows(front, percent)
    shown = rows if len(rows) <= most else [rows[i * (len(rows) - 1) // (most - 1)] for i in range(most)]
    lines = [f"{_title(front)}: {len(rows)} that no other beats in everything"]
    for place, score, _, *sizes in shown:
        lines.append(f"{place:>6}{score:>9}  {', '.join(f'{a} {b}' for a, b in zip(sizes, costs, strict=True))}")
    if len(shown) < len(rows):
        lines.append(f"{len(rows) - len(shown)} between them; all with --json")
    return "\n".join([*lines, _volume(front, percent)])


def _title(front: Mapping[str, Any]) -> str:
    *others, last = front["objectives"][1:]
    return f"Pareto front of score against {', '.join(others)}{' and ' if others else ''}{last}"


def _rows(front: Mapping[str, Any], percent: bool) -> list[list[str]]:
    """Trial, score, its standard error, costs."""
    return [
        [
            f"#{entry['number']}",
            number(entry["score"], percent),
            number(entry["stderr"], percent, bare=True),
            *(_cost(cost, entry[cost]) for cost in front["objectives"][1:]),
        ]
        for entry in front["trials"]
    ]


def _volume(front: Mapping[str, Any], percent: bool) -> str:
    """The hypervolume, and the box that it is a part of."""
    if front["hypervolume"] is None:
        return "Hypervolume: none, for all candidates have the same score or the same cost."
    ends = [
        ", ".join(
            number(end["score"], percent) if name == "score" else f"{_cost(name, end[name])} {_unit(name)[0]}"
            for name in front["objectives"]
        )
        for end in (front["reference"], front["ideal"])
    ]
    return (
        f"Hypervolume: {front['hypervolume']:.3f} of the box from the worst of all candidates in each ({ends[0]}; the "
        f"reference point) to the best ({ends[1]})."
    )


def _unit(cost: str) -> tuple[str, float, str]:
    return UNITS.get(cost, (cost, 1, "{:.4g}"))


def _cost(cost: str, value: float) -> str:
    _, of, form = _unit(cost)
    return form.format(value / of)
