"""Tests of the predictor: ranks in closed form, trials of a fit, quality of predictions."""

import itertools
import math
import random
from statistics import NormalDist

import numpy as np
import pytest
from helpers.controllers import distances

from nas.architecture import Architecture
from nas.controllers.surrogate import predictor as module
from nas.controllers.surrogate.encodings import Choices
from nas.controllers.surrogate.gaussian_process import members, weighed, weights_of
from nas.controllers.surrogate.predictor import FEWEST, MOST, Predictor, normal_scores


def flat(*picks):
    return Architecture("flat", {f"{i}": pick for i, pick in enumerate(picks)})


def drawn(count, seed=0):
    rng = random.Random(seed)
    return [flat(*(rng.randrange(5) for _ in range(4))) for _ in range(count)]


def total(architecture):
    return float(sum(architecture.picks.values()))


def predictor_of(architectures, value=total, stderr=0.0):
    predictor = Predictor([Choices()])
    for architecture in architectures:
        predictor.tell(architecture, value(architecture), stderr)
    return predictor


def draws(predictor, pool, count=400):
    return np.array([predictor.draw(pool, random.Random(k)) for k in range(count)])


@pytest.mark.parametrize("values", [[3.0, -1.0, 2.0], [5.0], [1.0, 1.0], [2.0, 1.0, 2.0, 2.0, 0.0, 0.0]])
def test_normal_scores_are_the_quantiles_of_the_ranks(values):
    """Blom: rank r of n, counted from 1 and averaged over those that are equal, is the quantile (r - 3/8)/(n + 1/4)."""
    expected = []
    for value in values:
        below, equal = sum(v < value for v in values), values.count(value)
        rank = sum(below + k for k in range(1, equal + 1)) / equal
        expected.append(NormalDist().inv_cdf((rank - 0.375) / (len(values) + 0.25)))
    np.testing.assert_allclose(normal_scores(values), expected, atol=1e-12)


def test_normal_scores_look_normal_and_know_no_unit():
    values = np.random.default_rng(0).exponential(size=1000)
    scores = normal_scores(values)
    assert abs(scores.mean()) < 1e-9
    assert scores.std() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(scores, normal_scores(1e6 * values - 3))
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(values))


def test_it_is_ready_when_enough_is_told():
    predictor = Predictor([Choices()])
    for number, architecture in enumerate(drawn(FEWEST)):
        assert predictor.ready == (number >= FEWEST)
        predictor.tell(architecture, 0.1 * number)
    assert predictor.ready


def test_it_ranks_what_it_has_not_seen():
    pool = drawn(60, seed=1)
    mean = draws(predictor_of(drawn(60)), pool).mean(0)
    assert np.corrcoef(mean, [total(architecture) for architecture in pool])[0, 1] > 0.9


def mixture(fitted, measured):
    """Mean and standard deviation of what members say of architectures at distances `measured`, by their weights."""
    said = [one.predict(measured[one.member.measure]) for one in fitted]
    means, stds = (np.array(part) for part in zip(*said, strict=True))
    weights = weights_of(fitted)
    mean = weights @ means
    return mean, np.sqrt(weights @ (stds**2 + means**2) - mean**2)


def test_it_draws_from_what_its_members_say():
    known, pool = drawn(30), drawn(5, seed=1)
    choices = Choices()
    for architecture in known:
        choices.add(architecture)
    values = normal_scores([total(architecture) for architecture in known])
    kept = weighed(members(2), distances(choices, known), values, np.zeros(30))
    assert len(kept) > 1
    mean, std = mixture(kept, distances(choices, known, pool))
    found = draws(predictor_of(known), pool, 4000)
    np.testing.assert_allclose(found.mean(0), mean, atol=0.06)
    np.testing.assert_allclose(found.std(0), std, rtol=0.08)


class Watched(Choices):
    """Writes down by which measures it is asked for distances."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def distance(self, measure, told, new):
        self.asked.append(measure)
        return super().distance(measure, told, new)


def test_between_weighings_members_keep_their_weights_and_only_the_one_drawn_from_is_fitted():
    """By one measure, between the trials and to the pool; all that was told since is fitted to."""
    watched = Watched()
    predictor = Predictor([watched])
    for architecture in drawn(40):
        predictor.tell(architecture, total(architecture))
    predictor.draw(drawn(3, seed=1), random.Random(0))
    before = predictor._members, predictor._weights
    predictor.tell(drawn(41)[-1], -1e9)
    for seed in range(5):
        predictor._sample = None
        watched.asked.clear()
        predictor.draw(drawn(3, seed=2), random.Random(seed))
        assert len(watched.asked) == 2
        assert len(set(watched.asked)) == 1
        [(member, fitted)] = predictor._sample._fitted.items()
        assert member in predictor._members
        assert fitted.solved.shape == (41,)
    assert (predictor._members, predictor._weights) == before


def test_the_pool_is_ranked_by_a_draw():
    pool, predictor = list(dict.fromkeys(drawn(40, seed=1))), predictor_of(drawn(40))
    for seed in range(5):
        draw = dict(zip(pool, predictor.draw(pool, random.Random(seed)), strict=True))
        found = predictor.ranked(pool, random.Random(seed))
        assert sorted(found, key=draw.__getitem__, reverse=True) == found


def test_standard_errors_are_noise_that_blurs():
    def trust(stderr):
        pool = [flat(0, 0, 0, 0), flat(4, 4, 4, 4)]
        return np.ptp(draws(predictor_of(drawn(40), stderr=stderr), pool).mean(0))

    assert trust(0.0) > 1.5 * trust(3.0)
    assert trust(math.nan) == pytest.approx(trust(float(np.std([total(a) for a in drawn(40)]))))


@pytest.mark.parametrize("value", [0.0, 0.7, -1e300])
def test_equal_scores_are_no_trouble(value):
    found = draws(predictor_of(drawn(20), value=lambda _: value), drawn(5, seed=1), 10)
    assert np.isfinite(found).all()


def test_it_is_fitted_to_the_best_and_the_latest():
    predictor = Predictor([Choices()])
    rng = random.Random(0)
    values = [rng.random() for _ in range(3 * MOST)]
    for number, value in enumerate(values):
        predictor.tell(flat(number % 5, number // 5 % 5, number // 25, 0), value)
    kept, scores, noises = predictor._fitted_to()
    assert len(kept) == len(scores) == len(noises) == MOST
    best = sorted(values)[-MOST // 2 :]
    held = [values[predictor._architectures.index(one)] for one in kept]
    assert set(best) <= set(held)
    rest = [value for value in held if value not in best]
    assert rest == [value for value in values if value not in best][-len(rest) :]
    # The scores are of the ranks among all, not among those that are kept.
    np.testing.assert_allclose(scores, normal_scores(values)[[values.index(value) for value in held]])


def test_members_are_weighed_again_as_trials_grow(monkeypatch):
    weighings = []

    def counted(*arguments):
        weighings.append(len(arguments[2]))
        return weighed(*arguments)

    monkeypatch.setattr(module, "weighed", counted)
    predictor = Predictor([Choices()])
    for architecture in drawn(40):
        predictor.tell(architecture, total(architecture))
        if predictor.ready:
            predictor.draw(drawn(3, seed=1), random.Random(0))
            predictor.draw(drawn(3, seed=2), random.Random(0))  # nothing new was told: nothing is fitted again
    assert weighings[0] == FEWEST
    assert all(1.1 * before <= after <= 1.1 * before + 1 for before, after in itertools.pairwise(weighings))
    assert len(weighings) < 20


def test_choices_that_were_never_met_do_not_matter():
    predictor = predictor_of(drawn(20))
    known = flat(1, 2, 3, 4)
    stranger = Architecture("flat", {**known.picks, "9": 3})
    found = predictor.draw([known, stranger], random.Random(0))
    assert np.isfinite(found).all()
