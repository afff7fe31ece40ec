"""Architectures, scores and trials as values: equality, hashes, pickles and JSON."""

import json
import math
import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import Architecture, NasError, Score, Trial
from nas.errors import SpaceError

PICKS = st.dictionaries(st.text(), st.integers(0, 2**40))
SCORE = Score(
    0.5,
    0.1,
    curve=(0.2, 0.5),
    per_task=(0.4, 0.6),
    metrics={"parameters": 12.0},
    protocol={"ways": 5},
    per_class=((0, 3, 15), (7, 12, 15)),
    provenance={"seed": 3, "device": {"kind": "cpu", "name": "a processor"}},
)


def property_test(test):
    return settings(deadline=None, max_examples=50, derandomize=True, database=None)(test)


@property_test
@given(space=st.text(), picks=PICKS, order=st.randoms(use_true_random=False))
def test_the_order_of_picks_does_not_matter(space, picks, order):
    items = list(picks.items())
    order.shuffle(items)
    first, second = Architecture(space, picks), Architecture(space, dict(items))
    assert first == second
    assert first.key == second.key
    assert hash(first) == hash(second)


@property_test
@given(space=st.text(), picks=PICKS)
def test_json_and_pickle_give_the_same_architecture(space, picks):
    architecture = Architecture(space, picks)
    text = json.dumps(architecture.to_json())
    for copy in (Architecture.from_json(json.loads(text)), pickle.loads(pickle.dumps(architecture))):
        assert copy == architecture
        assert copy.key == architecture.key
        assert list(copy.picks) == list(architecture.picks)


@property_test
@given(picks=PICKS, other=PICKS)
def test_keys_differ_when_picks_do(picks, other):
    assert (Architecture("s", picks).key == Architecture("s", other).key) == (picks == other)


def test_the_key_is_the_same_in_every_version():
    # Stored runs hold keys: changing how they are made would orphan them.
    assert Architecture("toy", {"b": 1, "a": 0}).key == "8220c58ae85c6359"
    assert Architecture("toy", {"ab": 1}).key != Architecture("toya", {"b": 1}).key


def test_picks_cannot_be_changed_from_outside():
    picks = {"a": 0}
    architecture = Architecture("toy", picks)
    picks["a"] = 1
    assert architecture.picks == {"a": 0}
    with pytest.raises(TypeError):
        architecture.picks["a"] = 1


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (None, "architecture"),
        ([], "architecture"),
        ({}, "space"),
        ({"space": 1, "picks": {}}, "space"),
        ({"space": "toy"}, "picks"),
        ({"space": "toy", "picks": [0]}, "picks"),
        ({"space": "toy", "picks": {"op": -1}}, "'op' is -1"),
        ({"space": "toy", "picks": {"op": True}}, "'op' is True"),
        ({"space": "toy", "picks": {"op": 1.0}}, "'op' is 1.0"),
        ({"space": "toy", "picks": {"op": "1"}}, "'op' is '1'"),
    ],
)
def test_what_is_no_architecture_is_named(data, named):
    with pytest.raises(SpaceError, match=named):
        Architecture.from_json(data)


def test_a_score_survives_json():
    assert Score.from_json(json.loads(json.dumps(SCORE.to_json()))) == SCORE


def test_a_score_that_was_stored_before_it_said_where_it_comes_from_still_opens():
    data = {name: value for name, value in SCORE.to_json().items() if name not in ("per_class", "provenance")}
    assert Score.from_json(data) == replace(SCORE, per_class=(), provenance={})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_cannot_be_ranked_is_refused(value):
    with pytest.raises(NasError, match=str(value)):
        Score(value, 0.0).checked()
    assert SCORE.checked() is SCORE


def test_a_trial_without_a_score_ranks_last():
    architecture = Architecture("toy", {"a": 0})
    failed = Trial(0, architecture, budget=10, seed=1, state="failed", error="it broke")
    done = Trial(1, architecture, budget=10, seed=1, state="done", score=Score(-1e30, 0.0))
    assert max([failed, done], key=lambda trial: trial.value) is done


def test_a_trial_as_json_is_what_the_command_line_documents():
    trial = Trial(3, Architecture("toy", {"a": 0}), budget=10, seed=1, state="done", score=SCORE, seconds=0.5)
    data = json.loads(json.dumps(trial.to_json()))
    assert set(data) == {
        "number",
        "architecture",
        "key",
        "state",
        "budget",
        "seed",
        "score",
        "seconds",
        "error",
        "repeats",
    }
    assert data["key"] == trial.architecture.key
    assert Score.from_json(data["score"]) == SCORE
