"""Final results: one JSON round trip, also for what earlier versions stored."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.analysis.final_result import TABLE, ControlResult, Failure, FinalResult, Measured
from nas.analysis.intervals import Estimate
from nas.architecture import Architecture
from nas.store import Store

FORMAT = Path(__file__).parents[2] / "data" / "first_format"
steady = settings(deadline=None, derandomize=True, database=None)
numbers = st.floats(allow_nan=False, allow_infinity=False)
pairs = st.none() | st.tuples(numbers, numbers)
intervals = st.builds(
    Estimate,
    value=numbers,
    stderr=numbers,
    low=numbers,
    high=numbers,
    p_value=st.none() | numbers,
    classes=pairs,
    tasks=pairs,
    parts=st.dictionaries(st.sampled_from(["tasks", "trainings", "classes"]), numbers),
    units=st.none() | st.integers(1, 99),
)
measured = st.builds(
    Measured,
    architecture=st.builds(Architecture, st.just("s"), st.dictionaries(st.text(max_size=3), st.integers(0, 9))),
    estimate=intervals,
    name=st.none() | st.text(max_size=5),
    number=st.none() | st.integers(0, 99),
    search_value=st.none() | numbers,
    weights_seed=st.none() | st.integers(0, 99),
    seeds=st.lists(numbers, max_size=3).map(tuple),
    curve=st.lists(numbers, max_size=3).map(tuple),
    parameters=st.none() | numbers,
    flops=st.none() | numbers,
    flops_uncounted=numbers,
    protocol=st.dictionaries(st.text(max_size=3), st.integers()),
    provenance=st.lists(st.dictionaries(st.text(max_size=3), st.integers()), max_size=2).map(tuple),
    difference=st.none() | intervals,
)
failures = st.lists(st.builds(Failure, st.text(), st.text()), max_size=2).map(tuple)
finalists = st.lists(measured, max_size=2).map(tuple)
curves = st.dictionaries(st.text(max_size=3), st.lists(st.tuples(numbers, numbers), max_size=3).map(tuple))
controls = st.builds(
    ControlResult, st.just("random"), best=measured, finalists=finalists, failures=failures, anytime=curves
) | st.builds(ControlResult, st.just("random"), error=st.text(), anytime=curves)
results = st.builds(
    FinalResult,
    kind=st.sampled_from(["classification", "regression"]),
    tasks=st.integers(2, 999),
    finalists=finalists,
    median=st.none() | measured,
    winner=st.none() | measured,
    baseline=st.none() | measured,
    difference=st.none() | intervals,
    control=st.none() | controls,
    warning=st.none() | st.text(min_size=1),
    failures=failures,
)


@steady
@given(results)
def test_what_is_written_is_read_back(result: FinalResult) -> None:
    text = json.dumps(result.to_json(), allow_nan=False)
    again = FinalResult.from_json(json.loads(text))
    assert again == named(result)
    assert json.dumps(again.to_json()) == text


def named(result: FinalResult) -> FinalResult:
    """The result with the control's name also on its best candidate, as a JSON object has one name."""
    control = result.control
    if control is None or control.best is None:
        return result
    name = control.name if control.best.name is None else control.best.name
    return replace(result, control=replace(control, name=name, best=replace(control.best, name=name)))


def test_the_result_of_a_table_has_the_reported_values_alone() -> None:
    entry = Measured(Architecture("s", {"a": 1}), Estimate(93.5), number=4, search_value=0.5, budget=8)
    rival = replace(entry, name="random", difference=Estimate(0.0))
    result = FinalResult(TABLE, winner=entry, control=ControlResult("random", best=rival, anytime={}))
    data = result.to_json()
    assert list(data["winner"]) == ["number", "search_value", "key", "architecture", "value", "budget", "protocol"]
    assert data["control"]["difference"] == {"value": 0.0}
    assert "tasks" not in data
    again = FinalResult.from_json(json.loads(json.dumps(data, allow_nan=False)))
    assert again.to_json() == data
    assert again.winner is not None
    assert again.winner.estimate.interval is None


def test_a_stored_result_of_the_first_version_is_read_and_written_as_it_was() -> None:
    with Store.open(FORMAT / "complete" / "trials.sqlite", readonly=True) as store:
        stored = store.get("final")
    result = FinalResult.from_json(stored)
    assert json.dumps(result.to_json()) == json.dumps(stored)
    assert result.winner is not None
    assert result.winner.key == stored["winner"]["key"] == result.winner.architecture.key


@pytest.mark.parametrize("data", [{}, {"kind": "classification", "winner": {"accuracy": 0.5}, "finalists": [{}]}])
def test_what_an_earlier_version_did_not_store_is_missing_and_no_error(data: dict[str, Any]) -> None:
    result = FinalResult.from_json(data)
    json.dumps(result.to_json(), allow_nan=False)
    for entry in result.finalists:
        assert math.isnan(entry.value)
        assert (entry.key, entry.number, entry.estimate.interval) == ("", None, None)
    if result.winner is not None:
        assert result.winner.value == 0.5
