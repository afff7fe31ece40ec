"""The checks of evaluators accept what is sound and name what is not: one broken evaluator for each law."""

import random
from dataclasses import replace

import pytest

from nas.architecture import Architecture
from nas.testing import check_evaluator
from nas.trial import Score


class Judge:
    """Scores drawn from the seed; `changes` spoil them."""

    def __init__(self, **changes):
        self.changes = changes

    def evaluate(self, architecture, budget, seed):
        rng = random.Random(f"{architecture.key}/{budget}/{seed}")
        per_task = tuple(rng.random() for _ in range(8))
        value = sum(per_task) / 8
        score = Score(value, 0.1, (0.2, value), per_task, {"seconds": random.random()}, {"ways": 5, "bank": [0, 8]})
        return replace(score, **{field: change(score) for field, change in self.changes.items()})


class Counting(Judge):
    """Depends on how often it was asked."""

    count = 0

    def evaluate(self, architecture, budget, seed):
        Counting.count += 1
        return super().evaluate(architecture, budget, seed + Counting.count)


ONE = Architecture("toy", {"layers": 0, "0.op": 1})


def test_a_sound_evaluator_passes():
    check_evaluator(Judge(), ONE, 10, inner_steps=1, num_tasks=8)


def nan(_score):
    return float("nan")


def half(_score):
    return 0.5


def curve_to_half(_score):
    return (0.2, 0.5)


def negative(_score):
    return -0.1


def nothing(_score):
    return ()


def tuples(_score):
    return {"bank": (0, 8)}


def lists(_score):
    return {"bank": [0, 8]}


def infinite_seconds(_score):
    return {"seconds": float("inf")}


@pytest.mark.parametrize(
    ("evaluator", "reason"),
    [
        (Counting(), "value is .* when a pickled copy"),
        (Judge(stderr=nan), "stderr is nan|not finite"),
        (Judge(metrics=infinite_seconds), "not finite"),
        (Judge(stderr=negative), "standard error is -0.1"),
        (Judge(per_task=nothing), "per_task is empty"),
        (Judge(value=half, curve=curve_to_half), "value is 0.5, but the mean of per_task"),
        (Judge(curve=curve_to_half), "but the curve is"),
        (Judge(curve=nothing), "but the curve is"),
        (Judge(protocol=tuples), "not the same after JSON"),
    ],
)
def test_a_broken_evaluator_is_named(evaluator, reason):
    with pytest.raises(AssertionError, match=reason):
        check_evaluator(evaluator, ONE, 10)


class Foretold(Judge):
    def search_protocol(self, budget, schedule):
        return {"bank": [0, budget]}


def test_a_protocol_that_is_told_beforehand_is_that_of_the_score():
    check_evaluator(Foretold(protocol=lists), ONE, 8)
    with pytest.raises(AssertionError, match=r"search_protocol does not tell .*: bank was \[0, 9\] and is \[0, 8\]"):
        check_evaluator(Foretold(protocol=lists), ONE, 9)


@pytest.mark.parametrize(
    ("sizes", "reason"), [({"inner_steps": 3}, "3 inner steps need 4"), ({"num_tasks": 9}, "the bank 9")]
)
def test_sizes_that_were_asked_for_are_checked(sizes, reason):
    with pytest.raises(AssertionError, match=reason):
        check_evaluator(Judge(), ONE, 10, **sizes)


def test_an_evaluator_that_cannot_travel_is_an_error():
    with pytest.raises((AttributeError, TypeError), match=r"(?i)pickle"):
        check_evaluator(Judge(protocol=lambda _score: {}), ONE, 10)
