"""Outcome of a run in one sentence: what it says of differences, of what is missing, and of runs without a result."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.report import final, result, trials

from nas.analysis.final_result import FinalResult
from nas.analysis.intervals import Estimate
from nas.report.outcome import NO_RESULT, compared, outcome


def told(**changes: Any) -> str:
    data = {**final(), "baseline": result(0, 0.841, name="conv4", parameters=112005), **changes}
    return outcome(trials(), FinalResult.from_json(data), [], percent=True).headline


def test_the_sentence_has_result_interval_size_baseline_and_that_there_is_no_control() -> None:
    assert told() == (
        "The winner, trial #5, is right on 88.2 % of the test queries (95 % interval 87.2 – 89.2) with 12,345 "
        "parameters against the baseline's 112,005: 4.1 points better than the baseline conv4 (95 % interval +3.2 – "
        "+5.0); there is no random search beside it to compare with."
    )


def test_a_control_takes_the_place_of_the_note() -> None:
    apart = {"value": -0.02, "interval": [-0.03, -0.01]}
    text = told(control=result(12, 0.9, name="random", difference=apart))
    assert text.endswith("; 2.0 points worse than random search at the same budget (95 % interval -3.0 – -1.0).")
    assert "no random search" not in text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.03, 0.01, 0.05, "3.0 points better than x (95 % interval +1.0 – +5.0)"),
        (-0.03, -0.05, -0.01, "3.0 points worse than x (95 % interval -5.0 – -1.0)"),
        (0.03, -0.01, 0.07, "no difference beyond chance from x (+3.0 points, 95 % interval -1.0 – +7.0)"),
        (0.03, 0.0, 0.06, "no difference beyond chance from x (+3.0 points, 95 % interval +0.0 – +6.0)"),
    ],
)
def test_an_interval_with_zero_is_no_difference(value: float, low: float, high: float, text: str) -> None:
    assert compared(Estimate(value, 0.01, low, high), "x", True) == text


def test_a_difference_without_interval_says_so() -> None:
    assert compared(Estimate(0.5), "x", False) == "+0.5 from x, without an interval"


def test_of_a_table_the_reported_value_is_told() -> None:
    table = FinalResult.from_json({"kind": "table", "winner": {"number": 3, "value": 93.7}})
    text = outcome(trials(), table, [], percent=False).headline
    assert text.startswith("The best candidate, trial #3, has a reported value of 93.7: there is no random search")


def test_regression_has_a_score_and_no_points() -> None:
    data = {**final("regression"), "baseline": None, "difference": None}
    text = outcome(trials(), FinalResult.from_json(data), [], percent=False).headline
    assert text.startswith("The winner, trial #5, has a test score of -0.882 (95 % interval -0.892 to -0.872) with")


def test_runs_without_a_result_say_how_far_they_are() -> None:
    unfinished = outcome(trials(), None, ["a note"], percent=False)
    assert unfinished.headline.startswith("Not finished: of 5 scored candidates #5 is best, with 0.75 in the search,")
    assert list(unfinished.reasons) == [NO_RESULT, "a note"]
    assert outcome([], None, [], percent=False).headline == "No candidate has a score yet."


def test_a_winner_that_could_not_be_measured_is_told_with_the_reason() -> None:
    failed = {**final(), "winner": None, "difference": None, "failures": [{"measurement": "m", "error": "no memory"}]}
    assert outcome([], FinalResult.from_json(failed), [], percent=True).headline == (
        "No winner was measured on test tasks: no memory."
    )


def test_reasons_for_doubt_are_the_median_few_trainings_and_the_same_network() -> None:
    apart = {"value": 0.01, "interval": [-0.01, 0.03], "p_value": 0.3}
    data = {**final(), "warning": "few tasks", "median": result(1, 0.8, difference=apart)}
    data["winner"] = result(5, 0.882, seeds=[0.882])
    data["control"] = result(5, 0.882, name="random")
    reasons = outcome(trials(), FinalResult.from_json(data), [], percent=True).reasons
    assert reasons[0] == "Warning: few tasks."
    assert reasons[1] == (
        "On fresh validation tasks: no difference beyond chance from the search's median candidate (+1.0 points, 95 % "
        "interval -1.0 – +3.0), p = 0.300."
    )
    assert reasons[2:4] == [
        "The random search came to the same network.",
        "The winner was trained once only, so nothing is known of how much trainings differ.",
    ]
