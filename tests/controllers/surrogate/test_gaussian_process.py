"""Tests of the Gaussian processes against the textbook's formulas and explicit leave-one-out."""

import math

import numpy as np
import pytest

from nas.controllers.surrogate.gaussian_process import (
    LEAST_WEIGHT,
    MOST_MEMBERS,
    Fitted,
    Member,
    members,
    weighed,
    weights_of,
)

GENERATOR = np.random.default_rng(0)
KNOWN, NEW = GENERATOR.random((9, 3)), GENERATOR.random((4, 3))
VALUES = GENERATOR.standard_normal(9)
NOISES = GENERATOR.random(9) * 0.1
MEMBER = Member(1, scale=0.6, noise=0.2)


def distances(first, second):
    """Two kinds of distance, so that a member can take the wrong one."""
    apart = np.abs(first[:, None] - second[None])
    return [apart.max(2), apart.sum(2)]


def textbook(known, values, noises, new, variance=None):
    """Mean, variance and the variance's scale of the values at `new`, one inverse after another.

    Rasmussen & Williams (2006), equations 2.25 and 2.26, with a kernel times s² whose likeliest s² is yᵀK⁻¹y / n.
    """
    covariance = [
        [math.exp(-sum(abs(a - b)) / 0.6) + (i == j) * (0.2 + noises[i]) for j, b in enumerate(known)]
        for i, a in enumerate(known)
    ]
    inverse = np.linalg.inv(np.array(covariance))
    if variance is None:
        variance = values @ inverse @ values / len(values)
    means, variances = [], []
    for one in new:
        across = np.array([math.exp(-sum(abs(one - a)) / 0.6) for a in known])
        means.append(across @ inverse @ values)
        variances.append(variance * (1 - across @ inverse @ across))
    return np.array(means), np.array(variances), variance


def fitted(member=MEMBER, values=VALUES):
    return Fitted.of(member, distances(KNOWN, KNOWN)[member.measure], values, NOISES)


def test_mean_and_variance_are_those_of_the_textbook():
    means, stds = fitted().predict(distances(KNOWN, NEW)[1])
    expected_means, variances, scale = textbook(KNOWN, VALUES, NOISES, NEW)
    np.testing.assert_allclose(means, expected_means, rtol=1e-9)
    np.testing.assert_allclose(stds**2, variances, rtol=1e-9)
    assert fitted().variance == pytest.approx(scale, rel=1e-9)


def test_the_leave_one_out_likelihood_is_that_of_leaving_one_out():
    likelihood = 0.0
    for i in range(9):
        others = [j for j in range(9) if j != i]
        # The scale is that of all values, as in the closed form.
        mean, variance, _ = textbook(KNOWN[others], VALUES[others], NOISES[others], KNOWN[[i]], fitted().variance)
        with_noise = variance[0] + fitted().variance * (0.2 + NOISES[i])
        likelihood -= 0.5 * (math.log(with_noise) + (VALUES[i] - mean[0]) ** 2 / with_noise)
    assert fitted().loo == pytest.approx(likelihood, rel=1e-9)


def test_the_scale_is_the_likeliest():
    def likelihood(variance):
        covariance = MEMBER.kernel(distances(KNOWN, KNOWN)[1]) + np.diag(0.2 + NOISES)
        return -0.5 * (
            np.linalg.slogdet(variance * covariance)[1] + VALUES @ np.linalg.solve(variance * covariance, VALUES)
        )

    best = fitted().variance
    assert likelihood(best) > max(likelihood(0.99 * best), likelihood(1.01 * best))


def test_far_away_nothing_is_known_and_on_the_spot_nearly_all():
    exact = Member(1, scale=0.6, noise=1e-9)
    one = Fitted.of(exact, distances(KNOWN, KNOWN)[1], VALUES, np.zeros(9))
    means, stds = one.predict(distances(KNOWN, KNOWN)[1])
    np.testing.assert_allclose(means, VALUES, atol=1e-6)
    assert stds.max() < 1e-3
    means, stds = one.predict(distances(KNOWN, NEW + 1000)[1])
    np.testing.assert_allclose(means, 0, atol=1e-12)
    np.testing.assert_allclose(stds, math.sqrt(one.variance))


def test_equal_values_are_fitted_too():
    one = fitted(values=np.zeros(9))
    means, stds = one.predict(distances(KNOWN, NEW)[1])
    assert not means.any()
    assert np.isfinite([*stds, one.loo]).all()


def test_weights_are_leave_one_out_likelihoods_and_the_light_are_left_out():
    # Values that depend on the second distance smoothly, so that its members are likelier.
    values = np.sin(3 * KNOWN.sum(1))
    values -= values.mean()
    between = distances(KNOWN, KNOWN)
    every = [Fitted.of(member, between[member.measure], values, NOISES) for member in members(2)]
    weights = weights_of(every)
    assert weights.sum() == pytest.approx(1)
    for a, b in ((0, 5), (3, 11)):
        assert weights[a] / weights[b] == pytest.approx(math.exp(every[a].loo - every[b].loo), rel=1e-9)
    kept = weighed(members(2), between, values, NOISES)
    assert [one.member for one in kept] == [
        one.member
        for one, weight in zip(every, weights, strict=True)
        if weight >= LEAST_WEIGHT and sum(weights > weight) < MOST_MEMBERS
    ]
    assert 0 < len(kept) < len(every)


def test_where_all_are_light_the_heaviest_stay():
    values = np.zeros(9)
    even = [Member(0, 0.6, 0.2)] * 40
    assert len(weighed(even, distances(KNOWN, KNOWN), values, NOISES)) == MOST_MEMBERS
