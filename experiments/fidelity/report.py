"""Report of the fidelity study: its numbers, the table for people, the plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..command_line import Machine, machine_line
from ..rank_correlation import Agreement, agreement, noise, tau
from .settings import Settings
from .train import Cell, Rung, Rungs

DRAWS = 1000
"""Bootstrap samples of the cells."""
Scores = Mapping[tuple[str, int, str], Rungs]
"""Rungs by series, seed and the cell's key."""


@dataclass(frozen=True)
class Reference:
    """Full meta-training, whose score is the reference.

    Attributes:
        series: Name of its series.
        steps: Outer steps.
        seconds: Mean processor time of a cell.
        lowest: Lowest accuracy of a cell, in [0, 1].
        median: Median accuracy.
        best: Highest accuracy.
        spread: Standard deviation between cells.
        halves_tau: Kendall's τ of the scores on one half of the validation tasks with those on the other.
        tasks_stderr: Mean standard error over tasks.
        again: Number of cells that were trained with a second seed.
        seeds_tau: Kendall's τ of the scores of two seeds; None if fewer than two cells were trained again.
        seeds_noise: Standard deviation between seeds; None if no cell was trained again.
    """

    series: str
    steps: int
    seconds: float
    lowest: float
    median: float
    best: float
    spread: float
    halves_tau: float
    tasks_stderr: float
    again: int
    seeds_tau: float | None
    seeds_noise: float | None


@dataclass(frozen=True)
class CheapScore:
    """Score at one rung of a series.

    Attributes:
        series: Name of the series.
        title: Its name in the table.
        steps: Outer steps.
        steps_fraction: Outer steps as a part of the reference's.
        seconds: Mean processor time of a cell.
        cost: Processor time as a part of the reference's.
        mean: Mean accuracy over cells, in [0, 1].
        spread: Standard deviation between cells.
        diverged: Number of cells whose meta-training diverged.
        agreement: Agreement with the reference.
    """

    series: str
    title: str
    steps: int
    steps_fraction: float
    seconds: float
    cost: float
    mean: float
    spread: float
    diverged: int
    agreement: Agreement


@dataclass(frozen=True)
class SizeScore:
    """Size of the cells, taken as a score."""

    title: str
    agreement: Agreement


@dataclass(frozen=True)
class Report:
    """Result of the study.

    Attributes:
        cells: Number of cells.
        cells_parameters: Least and largest number of parameters of a cell.
        reference: Full meta-training.
        rows: Cheap scores.
        sizes: Parameters and FLOPs as scores.
        notes: Lines under the table.
        machine: The machine that it was measured on.
    """

    cells: int
    cells_parameters: tuple[float, float]
    reference: Reference
    rows: tuple[CheapScore, ...]
    sizes: tuple[SizeScore, ...]
    notes: tuple[str, ...]
    machine: Machine

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON value; agreements stand beside the other numbers of their rows."""
        document = asdict(self)
        for key in ("rows", "sizes"):
            for row in document[key]:
                row |= row.pop("agreement")
        return document


def report(
    settings: Settings, cells: Sequence[Cell], scores: Scores, *, notes: tuple[str, ...], machine: Machine
) -> Report:
    """All numbers of the study. A cell whose meta-training diverged has the accuracy of guessing.

    Args:
        settings: Settings of the study.
        cells: All cells.
        scores: Their scores.
        notes: Lines under the table.
        machine: The machine that they were measured on.
    """
    guess = 1 / int(settings.tasks["ways"])
    name = settings.reference.series
    last = settings.series[name].rungs[-1]
    full = [scores[name, 0, cell.architecture.key][str(last)] for cell in cells]
    reference = [_value(rung, guess) for rung in full]
    parameters = [cell.parameters for cell in cells]
    full_seconds = sum(rung.seconds for rung in full)

    def agrees(values: Sequence[float]) -> Agreement:
        return agreement(values, reference, parameters, draws=DRAWS, seed=0)

    def row(series: str, title: str, steps: int) -> CheapScore:
        rungs = [scores[series, 0, cell.architecture.key][str(steps)] for cell in cells]
        values = [_value(rung, guess) for rung in rungs]
        seconds = sum(rung.seconds for rung in rungs)
        return CheapScore(
            series=series,
            title=title,
            steps=steps,
            steps_fraction=steps / last,
            seconds=seconds / len(cells),
            cost=seconds / full_seconds,
            mean=float(np.mean(values)),
            spread=float(np.std(values, ddof=1)),
            diverged=sum(rung.value is None for rung in rungs),
            agreement=agrees(values),
        )

    return Report(
        cells=len(cells),
        cells_parameters=(min(parameters), max(parameters)),
        reference=_reference(settings, cells, scores),
        rows=tuple(row(key, each.title, steps) for key, each in settings.series.items() for steps in each.rungs),
        sizes=(
            SizeScore("parameters", agrees(parameters)),
            SizeScore("FLOPs", agrees([cell.flops for cell in cells])),
        ),
        notes=notes,
        machine=machine,
    )


def _reference(settings: Settings, cells: Sequence[Cell], scores: Scores) -> Reference:
    """The reference with its reliability: half of the bank against the other, one seed against another."""
    guess, name = 1 / int(settings.tasks["ways"]), settings.reference.series
    last = settings.series[name].rungs[-1]
    full = [scores[name, 0, cell.architecture.key][str(last)] for cell in cells]
    values = [_value(rung, guess) for rung in full]
    even, odd = ([_mean(rung.per_task[half::2], guess) for rung in full] for half in (0, 1))
    errors = [np.std(rung.per_task, ddof=1) / len(rung.per_task) ** 0.5 for rung in full if rung.value is not None]
    again = [cell for cell in cells if (name, 1, cell.architecture.key) in scores]
    both = [[_value(scores[name, seed, cell.architecture.key][str(last)], guess) for cell in again] for seed in (0, 1)]
    return Reference(
        series=name,
        steps=last,
        seconds=sum(rung.seconds for rung in full) / len(cells),
        lowest=min(values),
        median=float(np.median(values)),
        best=max(values),
        spread=float(np.std(values, ddof=1)),
        halves_tau=tau(even, odd),
        tasks_stderr=float(np.mean(errors)) if errors else 0.0,
        again=len(again),
        seeds_tau=tau(*both) if len(again) > 1 else None,
        seeds_noise=noise(*both) if again else None,
    )


def text(result: Report) -> str:
    """The table for people."""
    full, (smallest, largest) = result.reference, result.cells_parameters
    seeds = ""
    if full.seeds_tau is not None and full.seeds_noise is not None:
        seeds = (
            f"; of two seeds, {full.again} cells, {full.seeds_tau:.2f} (noise of a seed "
            f"{_percent(full.seeds_noise)} points)"
        )
    lines = [
        f"Kendall's τ of cheap scores with the full meta-training ({full.series}, {full.steps:,} outer steps, "
        f"{full.seconds:.0f} s a cell), over {result.cells} random cells of {smallest:,.0f} to {largest:,.0f} "
        "parameters. 95 % intervals over cells.",
        f"Full accuracy: {_percent(full.lowest)} to {_percent(full.best)} %, median {_percent(full.median)}, standard "
        f"deviation {_percent(full.spread)} points; standard error over tasks {_percent(full.tasks_stderr)}.",
        f"What agreement is possible: τ of one half of the validation tasks with the other {full.halves_tau:.2f}"
        f"{seeds}.",
        "",
        f"{'score':<20}{'steps':>6}{'of full':>9}{'seconds':>9}{'cost':>7}{'mean':>7}{'sd':>6}"
        f"{'τ':>7}{'':^15}{'τ | size':>9}{'over size':>11}{'':^16}{'best reaches':>13}",
    ]
    for row in result.rows:
        lines.append(
            f"{row.title:<20}{row.steps:>6}{_fraction(row.steps_fraction):>9}{row.seconds:>9.1f}"
            f"{_fraction(row.cost):>7}{_percent(row.mean):>7}{_percent(row.spread):>6}{_agreement(row.agreement)}"
            + (f"   {row.diverged} diverged" if row.diverged else "")
        )
    lines += [f"{row.title:<20}{'':>44}{_agreement(row.agreement)}" for row in result.sizes]
    return "\n".join([*lines, "", *result.notes, f"Machine: {machine_line(result.machine)}"])


def plot(result: Report, path: Path) -> None:
    """Draw τ against cost, a line for each series; the τ of size and of a second seed are horizontal lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    full = result.reference
    cheap = [row for row in result.rows if (row.series, row.steps) != (full.series, full.steps)]
    for title in dict.fromkeys(row.title for row in cheap):
        rows = [row for row in cheap if row.title == title]
        taus = [row.agreement.tau for row in rows]
        below = [max(0.0, row.agreement.tau - row.agreement.low) for row in rows]
        above = [max(0.0, row.agreement.high - row.agreement.tau) for row in rows]
        axes.errorbar([row.cost for row in rows], taus, yerr=[below, above], marker="o", capsize=3, label=title)
    for size, style in zip(result.sizes, ("--", ":"), strict=True):
        axes.axhline(size.agreement.tau, color="grey", linestyle=style, label=f"{size.title} alone")
    if full.seeds_tau is not None:
        axes.axhline(full.seeds_tau, color="black", linewidth=0.8, label="full, another seed")
    axes.set(xscale="log", xlabel="cost, as a part of the full meta-training", ylabel="Kendall's τ with the full score")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path, dpi=150)


def _value(rung: Rung, guess: float) -> float:
    return guess if rung.value is None else rung.value


def _mean(values: Sequence[float], guess: float) -> float:
    return float(np.mean(values)) if values else guess


def _agreement(row: Agreement) -> str:
    interval = f"[{row.low:.2f}, {row.high:.2f}]"
    over = f"[{row.over_low:+.2f}, {row.over_high:+.2f}]"
    return (
        f"{row.tau:>7.2f}{interval:^15}{row.partial:>9.2f}{row.over_size:>+11.2f}{over:^16}"
        f"{_percent(row.reached):>11} %"
    )


def _fraction(value: float) -> str:
    return "1" if value > 0.99 else f"1/{1 / value:.1f}".removesuffix(".0")


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
