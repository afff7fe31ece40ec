"""Pictures of the report: charts as SVG in the page's text colour and font, cells as PNG."""

from __future__ import annotations

import base64
import html
import io
import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..analysis.ranking import Anytime
from ..trial import Trial

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

INK = "#0a0b0c"
"""Colour of texts and lines in the drawing, which the page's text colour replaces."""
BLUE, ORANGE, GREEN, RED = "#3b7dd8", "#e08a1e", "#2f9e6e", "#d9534f"
CURVES = (ORANGE, BLUE, GREEN, "#9467bd", "#17a2b8", "#b5651d", "#d6619e", "#8a8f98")
WIDTH, HEIGHT = 4.8, 3.2
"""Inches of a chart: small enough that its texts can be read on a phone."""
DENSE, MANY = 1000, 10_000
"""Number of points from which on they are small, and above which a chart holds them as one image, without texts."""
POINTS, FAILED = "points", "failed"
"""Names of the groups of marks that have texts, in the drawing."""
Tips = Mapping[int, str]
"""By number of trial, the text that a chart shows where the pointer is on its point."""
NO_TIPS: Tips = {}


def scores(trials: Sequence[Trial], *, label: str, percent: bool, tips: Tips = NO_TIPS) -> str | None:
    """Chart of the score over trials with the best so far; failed trials are crosses at the bottom.

    Args:
        trials: Trials of one budget.
        label: Label of the score axis.
        percent: Whether scores are accuracies, shown as percentages.
        tips: Texts of the points.

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
            low = [min(values)] * len(failed)
            axes.scatter(failed, low, s=25, marker="x", color=RED, linewidths=1, label="failed", gid=FAILED)
        axes.set_xlabel("trial")
        _whole(axes)

    chart = _with_tips(with_score_axis(plot, "Score over trials", label, percent), POINTS, numbers, tips)
    return _with_tips(chart, FAILED, failed, tips)


def costs(
    trials: Sequence[Trial],
    *,
    label: str,
    percent: bool,
    cost: str = "parameters",
    front: Collection[int] = (),
    tips: Tips = NO_TIPS,
) -> str | None:
    """Score against a cost, with the line of the candidates that no cheaper one beats. None where no trial has both.

    Args:
        trials: Trials of one budget.
        label: Label of the score axis.
        percent: Whether scores are accuracies, shown as percentages.
        cost: Name of the cost among the scores' metrics.
        front: Numbers of the trials on a front of several costs, which get rings.
        tips: Texts of the points.
    """
    scored = [(trial.number, trial.score) for trial in trials if trial.score is not None]
    numbers = [n for n, s in scored if s.metrics.get(cost, 0) > 0]
    points = [(s.metrics[cost], s.value) for _, s in scored if s.metrics.get(cost, 0) > 0]
    ringed = [point for n, point in zip(numbers, points, strict=True) if n in front]
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

    chart = with_score_axis(plot, f"Score against {cost}{', with the front' if front else ''}", label, percent)
    return _with_tips(chart, POINTS, numbers, tips)


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

    return with_score_axis(plot, "Adaptation curves", label, percent)


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

    return with_score_axis(plot, "Best score against evaluations", label, percent)


def cell(graph: nx.DiGraph) -> str:
    """The picture of a cell, as a PNG in base64."""
    from ..space.drawing import draw

    png = io.BytesIO()
    draw(graph, png)
    return base64.b64encode(png.getvalue()).decode("ascii")


def _points(axes: Axes, x: Sequence[float], y: Sequence[float], label: str) -> None:
    size, alpha = (18, 0.75) if len(x) < DENSE else (8, 0.5)
    drawn = axes.scatter(x, y, s=size, color=BLUE, alpha=alpha, linewidths=0, label=label, gid=POINTS)
    drawn.set_rasterized(len(x) > MANY)


def _with_tips(chart: str, group: str, numbers: Sequence[int], tips: Tips) -> str:
    """A chart whose marks of one group have the texts of their trials, which browsers show under the pointer."""
    # The name of a group would be an id, which other charts on the page have too.
    head, opening, rest = chart.partition(f'<g id="{group}">')
    if not opening:
        return chart
    body, closing, tail = rest.partition("</g>\n   <g id=")
    marks = re.findall(r"<use [^>]*/>", body)
    texts = [tips.get(number, "") for number in numbers] if len(marks) == len(numbers) else []
    filled = iter(texts)
    body = re.sub(r"(<use [^>]*)/>", lambda mark: _titled(mark, next(filled, "")), body)
    return f'{head}<g class="{group}">{body}{closing}{tail}'


def _titled(mark: re.Match[str], text: str) -> str:
    return f"{mark[1]}><title>{html.escape(text)}</title></use>" if text else mark[0]


def _whole(axes: Axes) -> None:
    """Restricts the horizontal axis to whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def with_score_axis(plot: Callable[[Axes], None], title: str, label: str, percent: bool) -> str:
    """An `svg` element as of `svg`, whose vertical axis has scores."""

    def dressed(axes: Axes) -> None:
        plot(axes)
        axes.set_ylabel(label)
        as_percent(axes.yaxis, percent)
        axes.grid(color=INK, alpha=0.12, linewidth=0.7)
        axes.legend(frameon=False, fontsize=9, labelcolor=INK)

    return svg(dressed, title)


def as_percent(axis: Axis, percent: bool, symbol: str = "%") -> None:
    """Writes the numbers of an axis of accuracies as percentages, or of their differences in points without symbol."""
    from matplotlib.ticker import PercentFormatter

    if percent:
        axis.set_major_formatter(PercentFormatter(1.0, symbol=symbol))


def svg(plot: Callable[[Axes], None], title: str, *, height: float = HEIGHT) -> str:
    """An inline `svg` element. Text stays text; the same data always give the same element.

    Args:
        plot: Function that draws into the axes.
        title: What screen readers say of the picture, other than that of any other on the page.
        height: Height in inches.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    text = io.StringIO()
    # The ids of an element's parts are salted with its title, so that charts on one page share none.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.sans-serif": ["DejaVu Sans"]}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        plot(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.tick_params(which="both", colors=INK)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        axes.set_axisbelow(True)
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    return drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)
