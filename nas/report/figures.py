"""Pictures of the report: charts as SVG in the page's text colour and font, cells as PNG."""

from __future__ import annotations

import base64
import html
import io
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..analysis.intervals import Estimate
from ..analysis.ranking import Anytime
from ..trial import Trial

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

INK = "#0a0b0c"
"""Colour of texts and lines in the drawing, which the page's text colour replaces."""
BLUE, ORANGE, GREEN, RED = "#3b7dd8", "#e08a1e", "#2f9e6e", "#d9534f"
CURVES = (ORANGE, BLUE, GREEN, "#9467bd", "#17a2b8", "#b5651d", "#d6619e", "#8a8f98")
MANY = 2000
"""Number of points above which a chart holds them as one image."""


def scores(trials: Sequence[Trial], *, label: str, percent: bool) -> str | None:
    """Chart of the score over trials with the best so far; failed trials are crosses at the bottom.

    Args:
        trials: Trials of one budget.
        label: Label of the score axis.
        percent: Whether scores are accuracies, shown as percentages.

    Returns:
        An SVG element, as from all charts of this module; None where no trial has a score.
    """
    done = [(trial.number, trial.value) for trial in trials if trial.score is not None]
    if not done:
        return None
    numbers, values = zip(*done, strict=True)
    failed = [trial.number for trial in trials if trial.state == "failed"]

    def plot(axes: Axes) -> None:
        _points(axes, numbers, values, "candidate")
        axes.step(numbers, list(itertools.accumulate(values, max)), where="post", color=ORANGE, label="best so far")
        if failed:
            axes.plot(failed, [min(values)] * len(failed), "x", color=RED, markersize=5, label="failed")
        axes.set_xlabel("trial")
        _whole(axes)

    return _svg(plot, "Score over trials", label, percent)


def costs(
    trials: Sequence[Trial], *, label: str, percent: bool, cost: str = "parameters", front: Collection[int] = ()
) -> str | None:
    """Score against a cost, with the line of the candidates that no cheaper one beats. None where no trial has both.

    Args:
        trials: Trials of one budget.
        label: Label of the score axis.
        percent: Whether scores are accuracies, shown as percentages.
        cost: Name of the cost among the scores' metrics.
        front: Numbers of the trials on a front of several costs, which get rings.
    """
    scored = [(trial.number, trial.score) for trial in trials if trial.score is not None]
    points = [(s.metrics[cost], s.value) for _, s in scored if s.metrics.get(cost, 0) > 0]
    ringed = [(s.metrics[cost], s.value) for n, s in scored if n in front and s.metrics.get(cost, 0) > 0]
    if not points:
        return None
    line: list[tuple[float, float]] = []
    for size, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not line or value > line[-1][1]:
            line.append((size, value))

    def plot(axes: Axes) -> None:
        sizes, values = zip(*points, strict=True)
        _points(axes, sizes, values, "candidate")
        axes.step(*zip(*line, strict=True), where="post", color=GREEN, label="nothing smaller is better")
        if ringed:
            axes.plot(*zip(*ringed, strict=True), "o", color=ORANGE, fillstyle="none", label="on the front of all")
        axes.set_xlabel(cost)
        axes.set_xscale("log")

    return _svg(plot, f"Score against {cost}{', with the front' if front else ''}", label, percent)


def curves(named: Mapping[str, Sequence[float]], *, label: str, percent: bool) -> str | None:
    """Score after each inner step, a line for each name, the first in bold. None where no curve has two points."""
    shown = {name: curve for name, curve in named.items() if len(curve) > 1}
    if not shown:
        return None

    def plot(axes: Axes) -> None:
        for i, (name, curve) in enumerate(shown.items()):
            colour, width = CURVES[i % len(CURVES)], 2.4 if i == 0 else 1.4
            axes.plot(range(len(curve)), curve, "o-", color=colour, linewidth=width, markersize=3.5, label=name)
        axes.set_xlabel("inner steps")
        _whole(axes)

    return _svg(plot, "Adaptation curves", label, percent)


def anytime(named: Mapping[str, Anytime], *, label: str, percent: bool) -> str | None:
    """The best score so far against evaluations, a line for each search. None where all curves are empty."""
    shown = {name: curve for name, curve in named.items() if curve}
    if not shown:
        return None

    def plot(axes: Axes) -> None:
        for i, (name, curve) in enumerate(shown.items()):
            counts, values = zip(*curve, strict=True)
            axes.step(
                counts,
                values,
                where="post",
                color=CURVES[i % len(CURVES)],
                linewidth=2.4 if i == 0 else 1.4,
                label=name,
            )
        axes.set_xlabel("evaluations")
        _whole(axes)

    return _svg(plot, "Best score against evaluations", label, percent)


def contributions(
    named: Mapping[str, tuple[Estimate, Estimate]], titles: tuple[str, str], *, label: str, percent: bool
) -> str:
    """Chart of two estimates by name as bars with their 95 % intervals; `titles` are those of the two."""

    def plot(axes: Axes) -> None:
        for i, (title, colour) in enumerate(zip(titles, (BLUE, ORANGE), strict=True)):
            bars = [pair[i] for pair in named.values()]
            places = [place + 0.4 * i - 0.2 for place in range(len(bars))]
            values = [bar.value for bar in bars]
            ends = [bar.interval or (bar.value, bar.value) for bar in bars]
            errors = [[v - low for v, (low, _) in zip(values, ends, strict=True)]]
            errors.append([high - v for v, (_, high) in zip(values, ends, strict=True)])
            axes.bar(places, values, 0.38, color=colour, label=title)
            axes.errorbar(places, values, yerr=errors, fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xticks(range(len(named)), list(named))

    return _svg(plot, "Contributions of the winner's parts", label, percent)


def cell(graph: nx.DiGraph) -> str:
    """The picture of a cell, as a PNG in base64."""
    from ..space.drawing import draw

    png = io.BytesIO()
    draw(graph, png)
    return base64.b64encode(png.getvalue()).decode("ascii")


def _points(axes: Axes, x: Sequence[float], y: Sequence[float], label: str) -> None:
    axes.scatter(x, y, s=18, color=BLUE, alpha=0.75, linewidths=0, rasterized=len(x) > MANY, label=label)


def _whole(axes: Axes) -> None:
    """Restricts the horizontal axis to whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _svg(plot: Callable[[Axes], None], title: str, label: str, percent: bool) -> str:
    """An inline `svg` element. Text stays text; the same data always give the same element."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    text = io.StringIO()
    # The ids of an element's parts are salted with its title, so that charts on one page share none.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        plot(axes)
        axes.set_ylabel(label)
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.tick_params(which="both", colors=INK)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        axes.grid(color=INK, alpha=0.12, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)
