"""Effects of choices: the F test as scipy's, the share of the variance by a closed form, and conditional choices."""

import random

import numpy as np
import pytest
from scipy.stats import f_oneway

from nas.analysis.choice_effects import choice_effects
from nas.architecture import Architecture
from nas.trial import Score, Trial


def trials_of(rows):
    """Trials of (picks, score)."""
    return [
        Trial(number, Architecture("toy", picks), 1, 0, score=Score(value, 0.1, (), ()), state="done")
        for number, (picks, value) in enumerate(rows)
    ]


def effects_of(rows):
    return choice_effects(trials_of(rows), lambda architecture: architecture.picks)


def test_the_f_test_is_scipys():
    rng = np.random.default_rng(0)
    rows = [({"op": option}, 0.3 * option + rng.standard_normal()) for option in (0, 1, 2) for _ in range(7 + option)]
    (effect,) = effects_of(rows)
    groups = [[value for picks, value in rows if picks["op"] == option] for option in range(3)]
    assert effect.p_value == pytest.approx(f_oneway(*groups).pvalue)
    assert effect.trials == 24
    assert effect.means == {str(option): pytest.approx(np.mean(group)) for option, group in enumerate(groups)}


def test_the_interval_of_a_mean_is_of_the_variance_within_all_options():
    """Within 4 with 4 degrees of freedom, so that the standard error of a mean of three is the root of a third."""
    rows = [({"op": 0}, value) for value in (0.0, 1.0, 2.0)] + [({"op": 1}, value) for value in (2.0, 3.0, 4.0)]
    (effect,) = effects_of(rows)
    margin = 2.7764451 / 3**0.5
    assert effect.intervals["0"] == pytest.approx((1 - margin, 1 + margin))
    assert effect.intervals["1"] == pytest.approx((3 - margin, 3 + margin))


def test_the_share_is_the_omega_square_of_textbooks():
    """Two options of three: between 6, within 4, so (6 - 1) / (10 + 1) with a mean square of 1."""
    rows = [({"op": 0}, value) for value in (0.0, 1.0, 2.0)] + [({"op": 1}, value) for value in (2.0, 3.0, 4.0)]
    (effect,) = effects_of(rows)
    assert effect.share == pytest.approx((6 - 1) / (10 + 1))
    assert effect.best == "1"


def test_effects_come_in_the_order_of_their_size_and_none_is_below_zero():
    rng = random.Random(0)
    rows = []
    for _ in range(200):
        picks = {"large": rng.randrange(3), "small": rng.randrange(3), "none": rng.randrange(4)}
        rows.append((picks, picks["large"] + 0.4 * picks["small"] + 0.3 * rng.random()))
    effects = effects_of(rows)
    assert [effect.choice for effect in effects] == ["large", "small", "none"]
    assert effects[0].share > 0.7 > effects[1].share > 0.05 > effects[2].share >= 0
    assert effects[0].p_value < 1e-6 < effects[2].p_value


def test_a_choice_counts_where_it_was_open():
    rows = [({"learner": 0, "rate": rate % 2}, float(rate % 2)) for rate in range(10)]
    rows += [({"learner": 1}, 0.5)] * 5
    rate = next(effect for effect in effects_of(rows) if effect.choice == "rate")
    assert rate.trials == 10
    assert rate.share == pytest.approx(1.0)


@pytest.mark.parametrize("rows", [[], [({"op": 0}, 1.0)], [({"op": 0}, 1.0)] * 5, [({"op": 0}, 1.0), ({"op": 1}, 2.0)]])
def test_without_two_options_of_two_trials_there_is_no_effect(rows):
    assert effects_of(rows) == []


def test_equal_scores_have_no_effect():
    (effect,) = effects_of([({"op": option}, 0.5) for option in (0, 0, 1, 1)])
    assert (effect.share, effect.p_value) == (0.0, 1.0)


def test_intervals_of_accuracies_stay_within_0_and_1():
    rows = [({"op": 0}, value) for value in (0.9, 1.0)] + [({"op": 1}, value) for value in (0.0, 0.2)]
    (effect,) = effects_of(rows)
    assert effect.intervals["0"][1] == 1
    assert effect.intervals["1"][0] == 0
