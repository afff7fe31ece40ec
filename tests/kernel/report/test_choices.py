"""Section on choices and charts of intervals: what is drawn, and in which order."""

from __future__ import annotations

import re
from typing import Any

import pytest

from nas.analysis.choice_effects import choice_effects
from nas.architecture import Architecture
from nas.report import choices
from nas.report.figures import BLUE, ORANGE
from nas.report.interval_figures import Row, means
from nas.trial import Score, Trial

OPTIONS: dict[str, list[Any]] = {"width": [16, 8, 128], "op": ["conv", [3, 3], "skip"], "depth": [1, 2]}


def trials(count: int) -> list[Trial]:
    found = []
    for i in range(count):
        picks = {"width": i % 3, "op": i // 3 % 3, "depth": i % 2}
        score = Score(0.3 * (i % 3) + 0.02 * (i % 7), 0.01)
        found.append(Trial(i, Architecture("toy", picks), 1, 0, "done", score))
    return found


def options_of(architecture: Architecture) -> dict[str, Any]:
    return {name: options[architecture.picks[name]] for name, options in OPTIONS.items()}


def section(count: int) -> choices.ChoicesSection | None:
    found = trials(count)
    taken = {trial.number: options_of(trial.architecture) for trial in found}
    return choices.section(choice_effects(found, options_of), found, taken, label="score", percent=False)


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_each_choice_has_a_chart_with_the_best_option_first() -> None:
    drawn = section(36)
    assert drawn is not None
    assert drawn.table.rows[0][0] == "width"
    assert len(drawn.charts) == 3
    assert [text for text in texts(drawn.charts[0]) if text in ("8", "16", "128")] == ["128", "8", "16"]


def test_numbers_stand_in_their_order_and_other_options_in_that_of_their_texts() -> None:
    drawn = section(36)
    assert drawn is not None
    assert drawn.across is not None
    shown = texts(drawn.across)
    assert [text for text in shown if text in ("8", "16", "128")] == ["8", "16", "128"]
    assert [text for text in shown if text in ("conv", "skip", "[3, 3]")] == ["[3, 3]", "conv", "skip"]


@pytest.mark.parametrize("count", [36, 1000])
def test_the_best_are_in_colour_and_of_many_others_some_are_drawn(count: int) -> None:
    drawn = section(count)
    assert drawn is not None
    assert drawn.across is not None
    lines = [len(re.findall(rf"stroke: {colour}", drawn.across)) for colour in (ORANGE, BLUE)]
    assert lines[0] == choices.BEST_LINES
    assert min(count, choices.MOST_LINES) - 2 * choices.BEST_LINES <= lines[1] <= choices.MOST_LINES


def test_without_choices_there_is_no_section_and_with_one_no_lines_across() -> None:
    assert section(0) is None
    found = trials(12)
    taken = {trial.number: {"width": trial.architecture.picks["width"]} for trial in found}
    effects = [effect for effect in choice_effects(found, options_of) if effect.choice == "width"]
    alone = choices.section(effects, found, taken, label="score", percent=False)
    assert alone is not None
    assert alone.across is None


def test_a_chart_of_means_has_a_dot_for_each_training_and_a_bar_where_there_is_an_interval() -> None:
    rows = [Row("winner", 0.5, (0.4, 0.6), (0.45, 0.55)), Row("$x_1$ " * 10, 0.3, None)]
    svg = means(rows, "title", "accuracy", percent=True)
    assert svg is not None
    assert len(re.findall(rf"<use [^>]*fill: {ORANGE}", svg)) == 2
    assert len(re.findall(rf"<path [^>]*stroke: {BLUE}", svg)) == 1
    assert "winner" in texts(svg)
    assert any(text.startswith("$x_1$ $x_1$") and text.endswith("…") for text in texts(svg))
    assert means([], "title", "accuracy", percent=True) is None
