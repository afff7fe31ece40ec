"""The variance between trainings: against number-by-number versions and closed forms of its degrees of freedom."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nas.analysis.intervals import average, compare, t_quantile
from nas.analysis.seed_variance import SeedPool, chosen, seed_variance
from nas.trial import Score


def tables(networks, seeds, tasks=30, *, number=0, seed_sd=0.05, means=None):
    rng = np.random.default_rng(number)
    means = np.full(networks, 0.7) if means is None else np.array(means)
    values = means[:, None, None] + seed_sd * rng.standard_normal((networks, seeds, 1))
    values = values + 0.1 * rng.standard_normal((networks, 1, tasks)) + 0.05 * rng.standard_normal(values.shape)
    return {str(k): table for k, table in enumerate(values)}


def moments(table):
    """Mean square between the seeds' means, and what of it is expected from the tasks, number by number."""
    seeds, tasks = len(table), len(table[0])
    of_seed = [sum(row) / tasks for row in table]
    of_task = [sum(row[t] for row in table) / seeds for t in range(tasks)]
    mean = sum(of_seed) / seeds
    residuals = [(table[s][t] - of_seed[s] - of_task[t] + mean) ** 2 for s in range(seeds) for t in range(tasks)]
    raw = sum((m - mean) ** 2 for m in of_seed) / (seeds - 1)
    return raw, sum(residuals) / ((seeds - 1) * (tasks - 1)) / tasks


def test_the_variance_of_means_is_the_average_over_networks_in_units_of_p_times_1_minus_p():
    bank = tables(4, 3, means=[0.5, 0.7, 0.8, 0.9])
    found = SeedPool((bank,), accuracy=True).of_means()
    raw = noise = 0.0
    for table in bank.values():
        p = table.mean()
        of_seed, of_tasks = moments(table.tolist())
        raw, noise = raw + of_seed / (p * (1 - p)) / 4, noise + of_tasks / (p * (1 - p)) / 4
    assert (found.raw, found.noise, found.freedom) == pytest.approx((raw, noise, 8))


def test_unequal_numbers_of_seeds_count_by_their_degrees_of_freedom():
    three, two = tables(1, 3)["0"], tables(1, 2, number=1)["0"]
    bank = {"a": three, "b": two, "one": tables(1, 1, number=2)["0"]}
    found = SeedPool((bank,), accuracy=False).of_means()
    expected = (2 * moments(three)[0] / three.mean() ** 2 + moments(two)[0] / two.mean() ** 2) / 3
    assert (found.raw, found.freedom) == pytest.approx((expected, 3))


def test_a_network_on_two_banks_counts_once():
    bank = tables(3, 2)
    twice = SeedPool((bank, {"0": bank["0"]}), accuracy=True)
    assert twice.of_means() == SeedPool((bank,), accuracy=True).of_means()


@pytest.mark.parametrize("networks, seeds", [(2, 2), (3, 2), (5, 3), (4, 4)])
def test_all_pairs_of_equal_networks_have_the_degrees_of_freedom_of_an_interaction(networks, seeds):
    """In a table of networks and seeds: (networks - 1) * (seeds - 1), and twice its mean square."""
    bank = tables(networks, seeds)
    for table in bank.values():
        table += 0.5 - table.mean()  # equal scales
    found = SeedPool((bank,), accuracy=True).of_differences()
    assert found.freedom == pytest.approx((networks - 1) * (seeds - 1))
    means = np.array([table.mean(axis=1) for table in bank.values()])
    interaction = ((means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + 0.5) ** 2).sum()
    assert found.raw == pytest.approx(2 * interaction / (networks - 1) / (seeds - 1) / 0.5)


def test_the_degrees_of_freedom_of_pairs_are_those_of_their_simulated_mean_square():
    """Twice the squared mean over the variance, for networks of unequal scales and numbers of seeds, on two banks."""
    rng = np.random.default_rng(3)
    means, seeds = [0.5, 0.8, 0.9, 0.7], [3, 3, 2, 3]
    scales = np.sqrt([p * (1 - p) for p in means])
    found = []
    for _ in range(4000):
        effects = [p + 1e-3 * scale * rng.standard_normal(n) for p, scale, n in zip(means, scales, seeds, strict=True)]
        bank = {str(k): np.repeat(row[:, None], 2, axis=1) for k, row in enumerate(effects)}
        test = {key: bank[key] for key in ("0", "3")}
        found.append(SeedPool((bank, test), accuracy=True).of_differences())
    raw = np.array([one.raw for one in found])
    assert found[0].freedom == pytest.approx(2 * raw.mean() ** 2 / raw.var(), rel=0.1)


def test_a_shift_that_a_seed_gives_all_networks_drops_out_of_differences():
    bank = tables(3, 3)
    shifted = {key: table + np.array([[0.0], [0.1], [-0.1]]) for key, table in bank.items()}
    plain, other = (SeedPool((b,), accuracy=True).of_differences() for b in (bank, shifted))
    assert other.raw == pytest.approx(plain.raw)
    assert SeedPool((shifted,), accuracy=True).of_means().raw > 2 * SeedPool((bank,), accuracy=True).of_means().raw


def test_without_two_seeds_or_two_networks_there_is_nothing_to_pool():
    assert SeedPool((tables(4, 1),), accuracy=True).of_means() is None
    assert SeedPool((tables(4, 1),), accuracy=True).of_differences() is None
    assert SeedPool((tables(1, 4),), accuracy=True).of_differences() is None
    perfect = {"a": np.ones((2, 5)), "b": np.ones((2, 5))}
    assert SeedPool((perfect,), accuracy=True).of_means() is None
    assert SeedPool((perfect,), accuracy=True).of_differences() is None


def test_what_is_used_is_pooled_below_five_seeds_and_own_from_five_on():
    for seeds, networks in itertools.product(range(1, 8), (1, 2, 5)):
        table = tables(1, seeds, number=9)["0"]
        pooled = SeedPool((tables(networks, max(2, seeds)),), accuracy=False).of_means()
        expected = pooled if seeds < 5 and pooled.freedom > seeds - 1 else seed_variance(table)
        if expected is None or expected.freedom < 2:
            expected = None
        assert chosen(table, pooled) == expected


def scores(table):
    return [Score(float(row.mean()), 0.0, per_task=tuple(row.tolist())) for row in table]


def test_a_mean_and_a_difference_use_the_pool_in_their_own_units():
    bank = tables(5, 2, means=[0.5, 0.9, 0.8, 0.7, 0.6], seed_sd=0.03)
    pool = SeedPool.of_scores([{key: scores(table) for key, table in bank.items()}], accuracy=True)
    found = average(scores(bank["1"]), accuracy=True, pool=pool)
    p = bank["1"].mean()
    variance = pool.of_means().raw * p * (1 - p) / 2
    assert found.parts["trainings"] == pytest.approx(math.sqrt(variance))
    assert found.stderr == pytest.approx(math.hypot(found.parts["tasks"], found.parts["trainings"]))
    apart = compare(scores(bank["0"]), scores(bank["1"]), accuracy=True, pool=pool)
    q = bank["0"].mean()
    variance = pool.of_differences().raw * (p * (1 - p) + q * (1 - q)) / 2
    assert apart.parts["trainings"] == pytest.approx(math.sqrt(variance))
    assert apart.high - apart.value < t_quantile(0.975, 3) * apart.stderr  # not the 12.7 of one degree of freedom
    assert (apart.p_value < 0.05) == (apart.low > 0 or apart.high < 0)


def test_one_training_is_allowed_for_where_other_networks_had_several():
    bank = tables(4, 3)
    pool = SeedPool((bank,), accuracy=True)
    found = average(scores(bank["0"][:1]), accuracy=True, pool=pool)
    assert found.parts["trainings"] > average(scores(bank["0"]), accuracy=True, pool=pool).parts["trainings"]
