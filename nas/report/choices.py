"""Section on the choices of a space: which mattered, the means of their options, and candidates across choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..analysis.choice_effects import ChoiceEffect
from ..analysis.ranking import rank
from ..trial import Trial
from .figures import BLUE, INK, ORANGE, svg
from .formatting import number, probability
from .interval_figures import options
from .tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CHOICES, MOST_CHARTS, MOST_AXES = 30, 6, 7
"""Choices whose effects are listed, whose options are drawn, and that candidates are drawn across."""
MOST_LINES, BEST_LINES, MOST_NAMED = 150, 10, 10
"""Candidates that are drawn across the choices, those of them in colour, and options that an axis names."""

Options = Mapping[int, Mapping[str, Any]]
"""By number of trial, the options that its architecture took, by choice."""


@dataclass(frozen=True)
class ChoicesSection:
    """Section of the page: the effects in a table, charts of options, and candidates across the choices."""

    table: Table
    charts: Sequence[str]
    across: str | None


def section(
    effects: Sequence[ChoiceEffect], trials: Sequence[Trial], options_of: Options, *, label: str, percent: bool
) -> ChoicesSection | None:
    """The page's section on the choices with an effect; None where no choice can be compared.

    Args:
        effects: Effects of the choices, the largest first.
        trials: Trials of one budget.
        options_of: The options of each trial.
        label: Label of the score axis.
        percent: Whether scores are accuracies, shown as percentages.
    """
    if not effects:
        return None
    drawn = (options(effect, label=f"mean {label}", percent=percent) for effect in effects[:MOST_CHARTS])
    return ChoicesSection(
        _table(effects, percent), [chart for chart in drawn if chart], across(effects, trials, options_of)
    )


def across(effects: Sequence[ChoiceEffect], trials: Sequence[Trial], options_of: Options) -> str | None:
    """Parallel coordinates: candidates as lines across the choices with most effect, the best in colour.

    The arguments are those of `section`. Of many candidates the best and evenly spaced others are drawn. A choice that
    was not open to a candidate is left out of its line. None with fewer than two choices.
    """
    names = [effect.choice for effect in effects[:MOST_AXES]]
    ranked = sorted((trial for trial in trials if trial.score is not None and trial.number in options_of), key=rank)
    if len(names) < 2 or not ranked:
        return None
    step = -(-len(ranked) // MOST_LINES)
    lines = [*ranked[:BEST_LINES], *ranked[BEST_LINES::step]]
    places = {name: _places(name, ranked, options_of) for name in names}

    def plot(axes: Axes) -> None:
        for place, trial in reversed(list(enumerate(lines))):
            taken = options_of[trial.number]
            points = [(x, places[name][str(taken[name])]) for x, name in enumerate(names) if name in taken]
            best = place < BEST_LINES
            # Lines with the same option lie beside each other.
            shift = ((trial.number * 37) % 41 - 20) / 1000
            colour, alpha, width = (ORANGE, 0.9, 1.6) if best else (BLUE, 0.2, 0.8)
            axes.plot(
                [x for x, _ in points], [y + shift for _, y in points], color=colour, alpha=alpha, linewidth=width
            )
        for column, name in enumerate(names):
            axes.axvline(column, color=INK, alpha=0.4, linewidth=0.8)
            marks = list(places[name].items())
            for option, height in marks if len(marks) <= MOST_NAMED else (marks[0], marks[-1]):
                text = option if len(option) <= 14 else f"{option[:13]}…"
                axes.text(column + 0.04, height, text, fontsize=8, color=INK, va="center", parse_math=False)
        axes.set_xticks(range(len(names)), [name[:14] for name in names], fontsize=8, parse_math=False)
        axes.set_xlim(-0.1, len(names) - 0.3)
        axes.set_yticks([])
        axes.spines[["left"]].set_visible(False)

    return svg(plot, "Candidates across the choices with most effect")


def _places(choice: str, trials: Sequence[Trial], options_of: Options) -> dict[str, float]:
    """Heights from 0 to 1 of a choice's options; numbers are in their order, other options in that of their texts."""
    found = [options_of[trial.number][choice] for trial in trials if choice in options_of[trial.number]]
    numeric = all(isinstance(option, int | float) for option in found)
    ordered = list(dict.fromkeys(map(str, sorted(found, key=None if numeric else str))))
    return {option: place / max(1, len(ordered) - 1) for place, option in enumerate(ordered)}


def _table(effects: Sequence[ChoiceEffect], percent: bool) -> Table:
    rows = [
        [
            effect.choice,
            effect.best,
            number(effect.means[effect.best], percent),
            number(min(effect.means.values()), percent),
            f"{effect.share:.0%}",
            probability(effect.p_value).removeprefix(", "),
            f"{effect.trials:,}",
        ]
        for effect in effects[:MOST_CHOICES]
    ]
    heads = ["choice", "best option", "its mean", "worst option's mean", "share of the variance", "F test", "trials"]
    return Table(heads, rows, num_numbers=5)
