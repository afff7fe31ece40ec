"""Scores and trials as values: what steers a search is typed, and stands in the JSON where it always stood."""

from __future__ import annotations

import json

from nas.trial import Score


def test_typed_costs_are_written_under_the_metrics_and_read_from_there() -> None:
    score = Score(0.5, 0.1, metrics={"parameters": 7.0}, cost_s=1.5, outer_steps=3, tasks_at_once=12)
    document = json.loads(json.dumps(score.to_json()))
    assert document["metrics"] == {"parameters": 7.0, "seconds": 1.5, "outer_steps": 3.0, "chunk": 12.0}
    assert not {"cost_s", "outer_steps", "tasks_at_once"} & document.keys()
    assert Score.from_json(document) == score
    assert Score.from_json(document).to_json() == document


def test_a_score_without_costs_has_none_in_its_json() -> None:
    score = Score(0.5, 0.1, metrics={"parameters": 7.0})
    assert score.to_json()["metrics"] == {"parameters": 7.0}
    assert Score.from_json(score.to_json()) == score


def test_metrics_that_are_not_numbers_are_kept_and_do_not_steer() -> None:
    document = {**Score(0.5, 0.1).to_json(), "metrics": {"seconds": "long", "chunk": None, "outer_steps": float("inf")}}
    score = Score.from_json(document)
    assert (score.cost_s, score.tasks_at_once, score.outer_steps) == (None, None, None)
    assert score.metrics == document["metrics"]
