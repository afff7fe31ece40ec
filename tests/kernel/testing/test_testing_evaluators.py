"""Tests of check_evaluator: a sound evaluator passes, and each law is broken by an evaluator that fails by name."""

import random
from dataclasses import replace

import pytest

from nas.architecture import Architecture
from nas.testing import check_evaluator
from nas.trial import Score


class RandomScores:
    """Scores drawn from the seed; each of `changes` replaces one field of a score."""

    def __init__(self, **changes):
        self.changes = changes

    def evaluate(self, architecture, budget, seed):
        rng = random.Random(f"{architecture.key}/{budget}/{seed}")
        per_task = tuple(rng.random() for _ in range(8))
        value = sum(per_task) / 8
        score = Score(value, 0.1, (0.2, value), per_task, {"seconds": random.random()}, {"ways": 5, "bank": [0, 8]})
        return replace(score, **{field: change(score) for field, change in self.changes.items()})


class Counting(RandomScores):
    """Scores that depend on the number of evaluations before."""

    count = 0

    def evaluate(self, architecture, budget, seed):
        Counting.count += 1
        return super().evaluate(architecture, budget, seed + Counting.count)


ONE = Architecture("toy", {"layers": 0, "0.op": 1})


def test_a_sound_evaluator_passes():
    check_evaluator(RandomScores(), ONE, 10, inner_steps=1, num_tasks=8)


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
        (RandomScores(stderr=nan), "stderr is nan|not finite"),
        (RandomScores(metrics=infinite_seconds), "not finite"),
        (RandomScores(stderr=negative), "standard error is -0.1"),
        (RandomScores(per_task=nothing), "per_task is empty"),
        (RandomScores(value=half, curve=curve_to_half), "value is 0.5, but the mean of per_task"),
        (RandomScores(curve=curve_to_half), "but the curve is"),
        (RandomScores(curve=nothing), "but the curve is"),
        (RandomScores(protocol=tuples), "not the same after JSON"),
    ],
)
def test_a_broken_evaluator_is_named(evaluator, reason):
    with pytest.raises(AssertionError, match=reason):
        check_evaluator(evaluator, ONE, 10)


class KnownProtocol(RandomScores):
    def search_protocol(self, budget, schedule):
        return {"bank": [0, budget]}


def test_a_predicted_protocol_must_be_that_of_the_score():
    check_evaluator(KnownProtocol(protocol=lists), ONE, 8)
    with pytest.raises(AssertionError, match=r"search_protocol does not tell .*: bank was \[0, 9\] and is \[0, 8\]"):
        check_evaluator(KnownProtocol(protocol=lists), ONE, 9)


@pytest.mark.parametrize(
    ("sizes", "reason"), [({"inner_steps": 3}, "3 inner steps need 4"), ({"num_tasks": 9}, "the bank 9")]
)
def test_sizes_that_are_given_are_checked(sizes, reason):
    with pytest.raises(AssertionError, match=reason):
        check_evaluator(RandomScores(), ONE, 10, **sizes)


def test_an_evaluator_that_cannot_be_pickled_is_an_error():
    with pytest.raises((AttributeError, TypeError), match=r"(?i)pickle"):
        check_evaluator(RandomScores(protocol=lambda _score: {}), ONE, 10)
