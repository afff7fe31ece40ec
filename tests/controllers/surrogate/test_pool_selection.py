"""Tests of the rank correlation between a predictor's predictions and the scores that are measured later."""

import random

import numpy as np
import pytest
from helpers.controllers import Flat, done
from scipy.stats import kendalltau

from nas.controllers import Evolution, Reinforce
from nas.controllers.surrogate.pool_selection import FEWEST, WINDOW, PoolSelection, kendall_tau
from nas.controllers.without_replacement import Unseen
from nas.space import sample


class BySum:
    """Ranks by the sum of the indices, which is also what it predicts."""

    ready = True

    def ranked(self, pool, rng):
        return sorted(pool, key=self.predicted, reverse=True)

    def predicted(self, architecture):
        return float(sum(architecture.picks.values()))


def proposed(selection, unseen, count):
    rng = random.Random(0)
    return list(unseen.propose(count, lambda _: selection.choose(lambda: sample(Flat(), rng), rng)))


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_kendalls_tau_is_scipys(levels):
    rng = np.random.default_rng(levels)
    x, y = rng.integers(levels, size=(2, 40))
    assert kendall_tau(x, y) == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)


def test_kendalls_tau_of_huge_values():
    assert kendall_tau([1e308, 0.0, -1e308], [3.0, 2.0, 1.0]) == 1


def test_of_equal_values_there_is_no_tau():
    assert kendall_tau([1.0, 1.0], [1.0, 2.0]) is None
    assert kendall_tau([1.0, 2.0], [2.0, 2.0]) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_the_latest_predictions_are_compared_with_the_scores_of_what_was_proposed(sign):
    unseen = Unseen(Flat(), seed=0)
    selection = PoolSelection(unseen, BySum(), 10, keep_leftovers=False)
    candidates = proposed(selection, unseen, WINDOW + 20)
    unasked = sample(Flat(), random.Random(1))
    noise = random.Random(2)
    for candidate in candidates[:20]:
        selection.tell(candidate, noise.random())
    predictions = [BySum().predicted(candidate) for candidate in candidates[20:]]
    assert len(set(predictions)) > 3
    for candidate, prediction in zip(candidates[20:], predictions, strict=True):
        selection.tell(candidate, sign * prediction)
        selection.tell(unasked, noise.random())
    # The scores that were noise have left the window, and those of what was not proposed never entered it.
    assert selection.measurements() == {"kendall_tau": pytest.approx(sign)}


def test_of_few_predictions_nothing_is_said():
    unseen = Unseen(Flat(), seed=0)
    selection = PoolSelection(unseen, BySum(), 10)
    for number, candidate in enumerate(proposed(selection, unseen, FEWEST)):
        assert selection.measurements() == {}
        selection.tell(candidate, float(number))
    assert set(selection.measurements()) == {"kendall_tau"}


@pytest.mark.parametrize("make", [Evolution, Reinforce])
def test_where_scores_are_simple_the_predictors_ranks_agree_with_them_and_with_noise_they_do_not(make):
    def tau(score):
        controller = make(Flat(), pool=20)
        for number in range(60):
            [architecture] = controller.ask(1)
            controller.tell([done(number, architecture, score(architecture))])
        return controller.measurements()["kendall_tau"]

    noise = random.Random(0)
    assert tau(lambda architecture: sum(architecture.picks.values())) > 0.3
    assert abs(tau(lambda _: noise.random())) < 0.3
