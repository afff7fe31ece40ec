"""What the fidelity experiment found: the numbers as one document, the table for people, the plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..rank_correlation import agreement, noise, tau
from .settings import Settings
from .train import Cell, Rung

Found = Mapping[tuple[str, int, str], Mapping[str, Rung]]
"""Rungs by series, seed and the cell's key."""


def document(settings: Settings, cells: Sequence[Cell], found: Found, *, draws: int) -> dict[str, Any]:
    """All numbers, as JSON values. A cell whose meta-training diverged counts as guessing would."""
    guess = 1 / int(settings.tasks["ways"])
    name = settings.reference.series
    last = settings.series[name].rungs[-1]
    full = [found[name, 0, cell.architecture.key][str(last)] for cell in cells]
    reference = [_value(rung, guess) for rung in full]
    parameters = [cell.parameters for cell in cells]
    whole_seconds = sum(rung.seconds for rung in full)

    def row(key: str, title: str, steps: int) -> dict[str, Any]:
        rungs = [found[key, 0, cell.architecture.key][str(steps)] for cell in cells]
        values = [_value(rung, guess) for rung in rungs]
        return {
            "series": key,
            "title": title,
            "steps": steps,
            "steps_fraction": steps / last,
            "seconds": sum(rung.seconds for rung in rungs) / len(cells),
            "cost": sum(rung.seconds for rung in rungs) / whole_seconds,
            "mean": float(np.mean(values)),
            "spread": float(np.std(values, ddof=1)),
            "diverged": sum(rung.value is None for rung in rungs),
            **asdict(agreement(values, reference, parameters, draws=draws, seed=0)),
        }

    sizes = {"parameters": parameters, "FLOPs": [cell.flops for cell in cells]}
    return {
        "cells": len(cells),
        "cells_parameters": [min(parameters), max(parameters)],
        "reference": {
            "series": name,
            "steps": last,
            "seconds": whole_seconds / len(cells),
            "lowest": min(reference),
            "median": float(np.median(reference)),
            "best": max(reference),
            "spread": float(np.std(reference, ddof=1)),
            **_reliability(settings, cells, found, full, guess),
        },
        "rows": [row(key, series.title, steps) for key, series in settings.series.items() for steps in series.rungs],
        "sizes": [
            {"title": title, **asdict(agreement(values, reference, parameters, draws=draws, seed=0))}
            for title, values in sizes.items()
        ],
    }


def _reliability(
    settings: Settings, cells: Sequence[Cell], found: Found, full: Sequence[Rung], guess: float
) -> dict[str, Any]:
    """How far the reference itself can be trusted: half of the bank against the other, one seed against another."""
    even, odd = ([_mean(rung.per_task[half::2], guess) for rung in full] for half in (0, 1))
    tasks = [np.std(rung.per_task, ddof=1) / len(rung.per_task) ** 0.5 for rung in full if rung.value is not None]
    name, last = settings.reference.series, str(settings.series[settings.reference.series].rungs[-1])
    again = [cell for cell in cells if (name, 1, cell.architecture.key) in found]
    both = [[_value(found[name, seed, cell.architecture.key][last], guess) for cell in again] for seed in (0, 1)]
    return {
        "halves_tau": tau(even, odd),
        "tasks_stderr": float(np.mean(tasks)) if tasks else 0.0,
        "again": len(again),
        "seeds_tau": tau(*both) if len(again) > 1 else None,
        "seeds_noise": noise(*both) if again else None,
    }


def text(found: Mapping[str, Any]) -> str:
    """The table for people."""
    about, (smallest, largest) = found["reference"], found["cells_parameters"]
    lines = [
        f"Kendall's τ of cheap scores with the full meta-training ({about['series']}, {about['steps']:,} outer steps, "
        f"{about['seconds']:.0f} s a cell), over {found['cells']} random cells of {smallest:,.0f} to {largest:,.0f} "
        "parameters. 95 % intervals over cells.",
        f"Full accuracy: {_percent(about['lowest'])} to {_percent(about['best'])} %, median "
        f"{_percent(about['median'])}, standard deviation {_percent(about['spread'])} points; standard error over "
        f"tasks {_percent(about['tasks_stderr'])}.",
        f"What agreement is possible: τ of one half of the validation tasks with the other {about['halves_tau']:.2f}"
        + (
            f"; of two seeds, {about['again']} cells, {about['seeds_tau']:.2f} (noise of a seed "
            f"{_percent(about['seeds_noise'])} points)."
            if about["seeds_tau"] is not None
            else "."
        ),
        "",
        f"{'score':<20}{'steps':>6}{'of full':>9}{'seconds':>9}{'cost':>7}{'mean':>7}{'sd':>6}"
        f"{'τ':>7}{'':^15}{'τ | size':>9}{'over size':>11}{'':^16}{'best reaches':>13}",
    ]
    for row in found["rows"]:
        lines.append(
            f"{row['title']:<20}{row['steps']:>6}{_fraction(row['steps_fraction']):>9}{row['seconds']:>9.1f}"
            f"{_fraction(row['cost']):>7}{_percent(row['mean']):>7}{_percent(row['spread']):>6}{_agreement(row)}"
            + (f"   {row['diverged']} diverged" if row["diverged"] else "")
        )
    for row in found["sizes"]:
        lines.append(f"{row['title']:<20}{'':>44}{_agreement(row)}")
    described = " · ".join(f"{key} {value}" for key, value in found["machine"].items())
    return "\n".join([*lines, "", *found["notes"], f"Machine: {described}"])


def plot(found: Mapping[str, Any], path: Path) -> None:
    """τ against cost, a line for each series; what size alone and a second seed give are level lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    about = found["reference"]
    cheap = [row for row in found["rows"] if (row["series"], row["steps"]) != (about["series"], about["steps"])]
    for title in dict.fromkeys(row["title"] for row in cheap):
        rows = [row for row in cheap if row["title"] == title]
        below = [row["tau"] - row["low"] for row in rows]
        above = [row["high"] - row["tau"] for row in rows]
        axes.errorbar(
            [row["cost"] for row in rows],
            [row["tau"] for row in rows],
            yerr=[[max(0.0, length) for length in side] for side in (below, above)],
            marker="o",
            capsize=3,
            label=title,
        )
    for row, style in zip(found["sizes"], ("--", ":"), strict=True):
        axes.axhline(row["tau"], color="grey", linestyle=style, label=f"{row['title']} alone")
    if about["seeds_tau"] is not None:
        axes.axhline(about["seeds_tau"], color="black", linewidth=0.8, label="full, another seed")
    axes.set(xscale="log", xlabel="cost, as a part of the full meta-training", ylabel="Kendall's τ with the full score")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path, dpi=150)


def _value(rung: Rung, guess: float) -> float:
    return guess if rung.value is None else rung.value


def _mean(values: Sequence[float], guess: float) -> float:
    return float(np.mean(values)) if values else guess


def _agreement(row: Mapping[str, Any]) -> str:
    interval = f"[{row['low']:.2f}, {row['high']:.2f}]"
    over = f"[{row['over_low']:+.2f}, {row['over_high']:+.2f}]"
    return (
        f"{row['tau']:>7.2f}{interval:^15}{row['partial']:>9.2f}{row['over_size']:>+11.2f}{over:^16}"
        f"{_percent(row['reached']):>11} %"
    )


def _fraction(value: float) -> str:
    return "1" if value > 0.99 else f"1/{1 / value:.1f}".removesuffix(".0")


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
