"""Report of a comparison: tables for the terminal, a JSON document, CSV files, and a picture of the curves."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ..analysis.comparison import Curve, Pair, Reached, Results, Row, curves, level, pairs, reached, rows
from .formatting import probability, span


@dataclass(frozen=True)
class Comparison:
    """Statistics of a comparison of controllers.

    Attributes:
        results: The searches, by controller.
        rows: The mean of each controller.
        pairs: The paired differences.
        reached: The time at which each controller reached each level.
        curves: The mean curves.
        axis: Time axis of the curves: 'seconds' (of evaluations) or 'evaluations'.
    """

    results: Results
    rows: Sequence[Row]
    pairs: Sequence[Pair]
    reached: Sequence[Reached]
    curves: Sequence[Curve]
    axis: str

    @staticmethod
    def of(results: Results, *, seconds: bool, levels: Sequence[float]) -> Comparison:
        """The statistics of a comparison's results.

        Args:
            results: The searches, by controller.
            seconds: Whether the budget is in seconds.
            levels: Scores to reach; if empty, the one that `nas.analysis.comparison.level` gives.
        """
        return Comparison(
            results,
            rows(results),
            pairs(results),
            reached(results, levels or [level(results)], seconds=seconds),
            curves(results, seconds=seconds),
            "seconds" if seconds else "evaluations",
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": [row.to_json() for row in self.rows],
            "pairs": [{**asdict(pair), "ci95": list(pair.ci95)} for pair in self.pairs],
            "reached": [asdict(entry) for entry in self.reached],
            "axis": self.axis,
        }


def text(comparison: Comparison) -> str:
    """The tables, best controller first; numbers as the evaluator gives them."""
    ranked = sorted(comparison.rows, key=lambda row: -row.mean)
    width = max(12, *(len(row.controller) for row in ranked)) + 2
    lines = [f"{'':<{width}}{'seeds':>6}{'mean':>10}{'sd':>9}{'95 % interval':>22}{'evaluations':>13}"]
    for row in ranked:
        sd, low_high = ("–", "–") if row.sd is None or row.ci95 is None else (f"{row.sd:.4g}", span(row.ci95, ".4f"))
        count = fmean(result.evaluations for result in comparison.results[row.controller])
        lines.append(f"{row.controller:<{width}}{row.seeds:>6}{row.mean:>10.4f}{sd:>9}{low_high:>22}{count:>13.1f}")
    if comparison.pairs:
        lines.append("differences, paired by seed; p-values corrected for their number (Holm)")
    for pair in sorted(comparison.pairs, key=lambda pair: -pair.value):
        named = f"{pair.first} − {pair.second}"
        p_value = probability(pair.p_value).removeprefix(", ")
        lines.append(f"  {named:<{2 * width}}{pair.value:>+10.4f}{span(pair.ci95, '+.4f'):>22}   {p_value}")
    for value, entries in itertools.groupby(comparison.reached, key=lambda entry: entry.level):
        lines.append(f"searches that come to {value:.4f}, and their median {comparison.axis}")
        for entry in sorted(entries, key=lambda entry: (-entry.searches, entry.median or 0.0)):
            middle = "–" if entry.median is None else f"{entry.median:,.0f}"
            lines.append(f"  {entry.controller:<{width}}{entry.searches:>6}{middle:>12}")
    return "\n".join(lines)


def write(comparison: Comparison, folder: Path, title: str) -> list[Path]:
    """Writes table.txt, results.csv, curves.csv and curves.png, and returns them."""
    table = folder / "table.txt"
    table.write_text(text(comparison) + "\n", encoding="utf-8")
    results = _csv(
        folder / "results.csv",
        ["controller", "seed", "reported", "evaluations", "seconds"],
        [
            [result.controller, result.seed, result.reported, result.evaluations, result.seconds]
            for searches in comparison.results.values()
            for result in searches
        ],
    )
    points = _csv(
        folder / "curves.csv",
        ["controller", comparison.axis, "mean", "low", "high"],
        [
            [curve.controller, *numbers]
            for curve in comparison.curves
            for numbers in zip(*(a.tolist() for a in (curve.x, curve.mean, curve.low, curve.high)), strict=True)
        ],
    )
    return [table, results, points, draw(comparison, folder / "curves.png", title)]


def draw(comparison: Comparison, path: Path, title: str) -> Path:
    """The curves with their bands as a picture, best controller first in the legend."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .figures import CURVES

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for i, curve in enumerate(sorted(comparison.curves, key=lambda curve: -float(curve.mean[-1]))):
        colour = CURVES[i % len(CURVES)]
        style = "-" if i < len(CURVES) else "--"
        axes.plot(curve.x, curve.mean, style, color=colour, label=_plain(curve.controller))
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
    ends = [value for curve in comparison.curves for value in curve.mean[len(curve.mean) // 20 :].tolist()]
    margin = 0.05 * (max(ends) - min(ends)) or 1.0
    # Without limits the low scores of the first candidates would take up most of the picture.
    axes.set_ylim(min(ends) - margin, max(ends) + margin)
    axes.set_xlabel("seconds of evaluations" if comparison.axis == "seconds" else "evaluations")
    axes.set_ylabel("best so far, mean and its 95 % interval")
    axes.set_title(_plain(title))
    axes.grid(alpha=0.2)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path


def _plain(text: str) -> str:
    """A text that matplotlib shows unchanged: not as a formula, nor left out of a legend."""
    return text.replace("$", r"\$").replace("_", " _", 1 if text.startswith("_") else 0)


def _csv(path: Path, heads: Sequence[str], lines: Sequence[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        writer.writerows(lines)
    return path
