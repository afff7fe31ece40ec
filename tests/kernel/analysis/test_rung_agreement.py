"""Rungs of a search: counts, and Kendall's τ by counting pairs."""

from __future__ import annotations

import itertools
import random

import pytest

from nas.analysis.rung_agreement import FEWEST, rungs
from nas.architecture import Architecture
from nas.trial import Score, Trial


def trial(number: int, candidate: int, budget: int, value: float | None, **more: object) -> Trial:
    architecture = Architecture("toy", {"a": candidate})
    if value is None:
        return Trial(number, architecture, budget, 0, "failed", error="no")
    return Trial(number, architecture, budget, 0, "done", Score(value, 0.1), **more)  # type: ignore[arg-type]


def test_tau_is_concordant_less_discordant_pairs_over_all() -> None:
    rng = random.Random(0)
    scores = [(rng.random(), rng.random()) for _ in range(9)]
    low = [trial(i, i, 3, first) for i, (first, _) in enumerate(scores)]
    high = [trial(20 + i, i, 9, second) for i, (_, second) in enumerate(scores)]
    signs = [1 if (a - c) * (b - d) > 0 else -1 for (a, b), (c, d) in itertools.combinations(scores, 2)]
    lower, upper = rungs([*low, *high])
    assert lower.tau == pytest.approx(sum(signs) / len(signs))
    assert lower.p_value is not None
    assert 0 < lower.p_value < 1
    assert (lower.promoted, upper.tau, upper.promoted) == (9, None, 0)


def test_rungs_are_counted_from_the_lowest_without_duplicates() -> None:
    trials = [trial(0, 0, 3, 0.5), trial(1, 1, 3, 0.7), trial(2, 2, 3, None), trial(3, 1, 9, 0.6)]
    trials.append(trial(4, 1, 3, 0.7, duplicate_of=1))
    lower, upper = rungs(trials)
    assert (lower.budget, lower.scored, lower.failed, lower.promoted, lower.tau) == (3, 2, 1, 1, None)
    assert (upper.budget, upper.scored, upper.failed) == (9, 1, 0)
    assert lower.best == trials[1]
    assert upper.best == trials[3]
    assert rungs(trials[:3]) == []


def test_scores_that_order_nothing_have_no_tau() -> None:
    trials = [trial(i, i, 3, 0.5) for i in range(FEWEST)] + [trial(9 + i, i, 9, i / 10) for i in range(FEWEST)]
    assert rungs(trials)[0].tau is None
