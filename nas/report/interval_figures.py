"""Charts of means with their 95 % intervals: networks on the test tasks, options of choices, parts of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..analysis.choice_effects import ChoiceEffect
from ..analysis.intervals import Estimate
from .figures import BLUE, INK, ORANGE, as_percent, svg, with_score_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW, MARGIN = 0.3, 0.75
"""Inches of a row, and of what is above and below the rows."""
LONGEST = 28
"""Characters of a row's name."""


@dataclass(frozen=True)
class Row:
    """Row of a chart of intervals.

    Attributes:
        name: Name of the row.
        value: The mean.
        ends: Its 95 % interval; None where there is none.
        dots: Values that the mean is of, such as those of single trainings.
    """

    name: str
    value: float
    ends: tuple[float, float] | None
    dots: Sequence[float] = ()


def means(rows: Sequence[Row], title: str, label: str, *, percent: bool, zero: bool = False) -> str | None:
    """Chart with a row for each mean: a bar for the interval, a line for the mean, dots for its values.

    Args:
        rows: The rows, from top to bottom.
        title: What screen readers say of the picture.
        label: Label of the axis.
        percent: Whether the values are accuracies, shown as percentages.
        zero: Whether they are differences, with a line at zero.

    Returns:
        An SVG element; None without rows.
    """
    if not rows:
        return None

    from matplotlib.ticker import MaxNLocator

    def plot(axes: Axes) -> None:
        for place, row in enumerate(rows):
            if row.ends is not None:
                axes.plot(row.ends, [place, place], color=BLUE, alpha=0.4, linewidth=8, solid_capstyle="butt")
            axes.plot([row.value], [place], "|", color=INK, markersize=13, markeredgewidth=2)
            axes.plot(row.dots, [place] * len(row.dots), "o", color=ORANGE, markersize=4)
        if zero:
            axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [_short(row.name) for row in rows], parse_math=False)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(f"{label}, points" if zero and percent else label)
        as_percent(axes.xaxis, percent, "" if zero else "%")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.7)

    return svg(plot, title, height=MARGIN + ROW * len(rows))


def options(effect: ChoiceEffect, *, label: str, percent: bool) -> str | None:
    """Chart of the mean score of each option of a choice, the best first."""
    ordered = sorted(effect.means.items(), key=lambda item: -item[1])
    rows = [Row(option, mean, effect.intervals.get(option)) for option, mean in ordered]
    return means(rows, f"Means of the options of {effect.choice}", label, percent=percent)


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

    return with_score_axis(plot, "Contributions of the winner's parts", label, percent)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
