"""Rank correlations of the fidelity experiment, and their intervals, against slow versions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nas.experiments import rank_correlation


def slow_tau(x, y):
    """Kendall's τ-b by its definition: pairs in order minus pairs in disorder, over those not tied."""
    pairs = list(itertools.combinations(range(len(x)), 2))
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in pairs]
    together = sum(a * b for a, b in signs)
    return together / math.sqrt(sum(a * a for a, _ in signs) * sum(b * b for _, b in signs))


@pytest.mark.parametrize("ties", [False, True])
def test_tau_is_its_definition(ties):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 15)).round(0 if ties else 5)
    assert rank_correlation.tau(x, y) == pytest.approx(slow_tau(x, y))
    assert rank_correlation.tau(x, x) == pytest.approx(1)
    assert rank_correlation.tau(x, -x) == pytest.approx(-1)
    assert rank_correlation.tau(x, np.ones(15)) == 0.0


def test_partial_tau_is_the_correlation_within_what_the_third_leaves():
    """As the phi coefficient over pairs: partial correlation of the residuals after regressing on the third's signs."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=12)
    x, y = z + rng.normal(size=12), z + rng.normal(size=12)
    pairs = list(itertools.combinations(range(12), 2))
    sx, sy, sz = (np.array([np.sign(v[i] - v[j]) for i, j in pairs]) for v in (x, y, z))
    rx, ry = sx - (sx @ sz) / (sz @ sz) * sz, sy - (sy @ sz) / (sz @ sz) * sz
    assert rank_correlation.partial_tau(x, y, z) == pytest.approx(rx @ ry / math.sqrt((rx @ rx) * (ry @ ry)))
    assert rank_correlation.partial_tau(z, z, z) == 0.0


@pytest.mark.parametrize("ties", [False, True])
def test_taus_of_samples_are_those_of_the_samples_written_out(ties):
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(2, 9)).round(0 if ties else 5)
    counts = rng.multinomial(9, np.full(9, 1 / 9), size=20)
    written = [rank_correlation.tau(np.repeat(x, times), np.repeat(y, times)) for times in counts]
    assert rank_correlation.resampled_taus(x, y, counts) == pytest.approx(written)
    assert rank_correlation.resampled_taus(x, np.ones(9), counts).tolist() == [0.0] * 20


def test_agreement_knows_a_good_score_from_a_bad_one():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=40)
    good, noise = truth + 0.1 * rng.normal(size=40), rng.normal(size=40)
    found = rank_correlation.agreement(good, truth, noise, draws=200, seed=0)
    assert 0.8 < found.low < found.tau < found.high <= 1
    assert found.tau == pytest.approx(slow_tau(good, truth))
    assert found.over_size == pytest.approx(slow_tau(good, truth) - slow_tau(noise, truth))
    assert 0 < found.over_low < found.over_size < found.over_high
    assert found.reached == truth[good.argmax()]
    assert found == rank_correlation.agreement(good, truth, noise, draws=200, seed=0)
    bad = rank_correlation.agreement(noise, truth, noise, draws=200, seed=0)
    assert bad.low < 0 < bad.high
    assert (bad.over_size, bad.over_low, bad.over_high) == (0, 0, 0)


def test_the_interval_covers_the_true_tau_about_as_often_as_it_says():
    """Of pairs of normal numbers with correlation r, τ is 2 / π arcsin r (Kendall, "Rank correlation methods")."""
    rng, r = np.random.default_rng(4), 0.7
    truth, covered = 2 / math.pi * math.asin(r), 0
    for seed in range(40):
        x, noise = rng.normal(size=(2, 40))
        found = rank_correlation.agreement(x, r * x + math.sqrt(1 - r * r) * noise, noise, draws=200, seed=seed)
        covered += found.low <= truth <= found.high
    assert covered >= 32  # of 40; fewer have a chance under one in a thousand at 95 %


def test_noise_is_the_deviation_of_one_measurement():
    rng = np.random.default_rng(5)
    first, second = rng.normal(scale=0.3, size=(2, 20_000))
    assert rank_correlation.noise(first, second) == pytest.approx(0.3, rel=0.03)
