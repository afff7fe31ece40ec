"""Intervals: against the formula written out, published tables, and their coverage in simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from nas.analysis.intervals import Estimate, compare, difference, estimate, over_tasks, t_quantile
from nas.errors import NasError
from nas.trial import Score


def table(seeds, tasks, *, rng, seed_sd=0.0, task_sd=1.0, noise_sd=1.0):
    """values[seed][task] with mean 0: a draw a seed, a draw a task, and noise."""
    values = seed_sd * rng.standard_normal((seeds, 1)) + task_sd * rng.standard_normal((1, tasks))
    return (values + noise_sd * rng.standard_normal((seeds, tasks))).tolist()


def slow(values):
    """Mean, standard error and margin, number by number as in a textbook's table of variance."""
    seeds, tasks = len(values), len(values[0])
    mean = sum(sum(row) for row in values) / (seeds * tasks)
    of_seed = [sum(row) / tasks for row in values]
    of_task = [sum(values[s][t] for s in range(seeds)) / seeds for t in range(tasks)]
    square_tasks = sum(seeds * (m - mean) ** 2 for m in of_task) / (tasks - 1)
    if seeds < 3:  # for these trainings
        stderr = math.sqrt(square_tasks / (seeds * tasks))
        return mean, stderr, stderr * scipy.stats.t.ppf(0.975, tasks - 1)
    square_seeds = sum(tasks * (m - mean) ** 2 for m in of_seed) / (seeds - 1)
    residual = 0.0
    for s in range(seeds):
        for t in range(tasks):
            residual += (values[s][t] - of_seed[s] - of_task[t] + mean) ** 2
    residual /= (seeds - 1) * (tasks - 1)
    over_tasks = max(0.0, square_tasks - residual) / (seeds * tasks)
    over_seeds = square_seeds / (seeds * tasks)
    of_tasks, of_trainings = (scipy.stats.t.ppf(0.975, count - 1) ** 2 for count in (tasks, seeds))
    square = over_tasks * of_tasks + over_seeds * of_trainings
    return mean, math.sqrt(over_tasks + over_seeds), math.sqrt(square)


@pytest.mark.parametrize("seeds, tasks", [(1, 2), (1, 30), (2, 2), (3, 40), (5, 7), (7, 3)])
@pytest.mark.parametrize("seed_sd", [0.0, 0.3, 3.0])
def test_the_estimate_is_that_of_the_formula_written_out(seeds, tasks, seed_sd):
    for number in range(10):
        values = table(seeds, tasks, rng=np.random.default_rng(number), seed_sd=seed_sd)
        mean, stderr, margin = slow(values)
        found = estimate(values)
        assert found.value == pytest.approx(mean, abs=1e-12)
        assert found.stderr == pytest.approx(stderr)
        assert found.high - found.value == pytest.approx(margin)
        assert found.value - found.low == pytest.approx(margin)


@pytest.mark.parametrize("seeds, seed_sd", [(3, 0.2), (3, 0.4), (3, 0.8), (5, 0.4)])
def test_few_trainings_that_happen_to_agree_do_not_make_an_interval_too_narrow(seeds, seed_sd):
    """With Satterthwaite's degrees of freedom for tasks and trainings together, .92 to .93 with three."""
    rng = np.random.default_rng(23)
    studies, held = 4000, 0
    for _ in range(studies):
        found = estimate(table(seeds, 100, rng=rng, seed_sd=seed_sd, noise_sd=0.3))
        held += found.low <= 0 <= found.high
    # Three standard errors of the count below .95, and above .973: so much do the added squared margins give with three
    # trainings that vary about as much as tasks, by the exact coverage at each drawn variance.
    assert 0.94 < held / studies < 0.981


@pytest.mark.parametrize(
    "seeds, tasks, seed_sd",
    [(1, 25, 0.0), (2, 40, 0.0), (3, 100, 0.0), (3, 100, 0.1), (3, 100, 1.0), (5, 60, 0.2), (5, 60, 2.0)],
)
def test_95_percent_intervals_hold_the_truth_in_about_95_percent_of_studies(seeds, tasks, seed_sd):
    rng = np.random.default_rng(2)
    studies = 1500
    held = 0
    for _ in range(studies):
        found = estimate(table(seeds, tasks, rng=rng, seed_sd=seed_sd))
        held += found.low <= 0 <= found.high
    # Four standard errors of the count, and a little for Satterthwaite's approximation.
    assert 0.92 < held / studies < 0.98


def test_an_interval_over_tasks_alone_would_be_far_too_narrow_where_seeds_differ():
    """What the random effect of seeds is for."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        values = table(3, 100, rng=rng, seed_sd=1.0)
        found = estimate([np.mean(values, axis=0).tolist()])
        held += found.low <= 0 <= found.high
    assert held < 150


def test_the_interval_never_explodes():
    """With few seeds and no effects at all, the fitted degrees of freedom can fall below those of the seeds."""
    rng = np.random.default_rng(4)
    for _ in range(2000):
        values = table(3, 20, rng=rng, task_sd=0.0)
        found = estimate(values)
        assert found.high - found.low <= 2 * 4.303 * found.stderr


@pytest.mark.parametrize(
    "probability, freedom, published",
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 5, 2.571),
        (0.975, 10, 2.228),
        (0.975, 30, 2.042),
        (0.975, 120, 1.980),
        (0.975, 1e9, 1.960),
        (0.95, 5, 2.015),
        (0.995, 20, 2.845),
        (0.5, 7, 0.0),
    ],
)
def test_quantiles_are_those_of_the_published_table(probability, freedom, published):
    assert t_quantile(probability, freedom) == pytest.approx(published, abs=5e-4)


def test_order_of_seeds_and_tasks_does_not_matter_and_scale_and_shift_pass_through():
    rng = np.random.default_rng(5)
    values = np.array(table(3, 20, rng=rng, seed_sd=0.5))
    found = estimate(values.tolist())
    shuffled = estimate(values[[2, 0, 1]][:, rng.permutation(20)].tolist())
    assert shuffled.value == pytest.approx(found.value)
    assert shuffled.stderr == pytest.approx(found.stderr)
    moved = estimate((2 * values + 10).tolist())
    assert moved.value == pytest.approx(2 * found.value + 10)
    assert moved.stderr == pytest.approx(2 * found.stderr)


def test_equal_values_have_an_interval_of_no_width():
    def short(found):
        return replace(found, parts={})

    assert short(estimate([[0.5] * 4] * 3)) == Estimate(0.5, 0.0, 0.5, 0.5)
    same = difference([[0.25, 0.5], [0.5, 1.0]], [[0.25, 0.5], [0.5, 1.0]])
    assert short(same) == Estimate(0.0, 0.0, 0.0, 0.0, p_value=1)
    assert short(difference([[0.5, 0.75]], [[0.25, 0.5]])) == Estimate(0.25, 0.0, 0.25, 0.25, p_value=0)


def test_accuracies_stay_between_0_and_1_and_differences_between_minus_1_and_1():
    rng = np.random.default_rng(20)
    cut = False
    for _ in range(200):
        tasks = rng.beta(20, 0.5, size=(3, 8))
        found = estimate(tasks.tolist(), accuracy=True)
        assert 0 <= found.low < found.value < found.high <= 1
        mirrored = estimate((1 - tasks).tolist(), accuracy=True)
        assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low))
        less = (tasks * rng.uniform(size=(3, 1)), tasks)
        plain, bounded = difference(*less), difference(*less, accuracy=True)
        assert (bounded.low, bounded.high) == (max(-1, plain.low), min(1, plain.high))
        assert bounded.p_value == plain.p_value
        cut |= plain.low < -1
    assert cut


def test_an_accuracys_interval_is_symmetric_on_the_logit_scale():
    values = np.random.default_rng(21).beta(9, 1, size=(1, 50))
    found = estimate(values.tolist(), accuracy=True)
    logit = [math.log(x / (1 - x)) for x in (found.low, found.value, found.high)]
    step = t_quantile(0.975, 49) * found.stderr / (found.value * (1 - found.value))
    assert logit[2] - logit[1] == pytest.approx(step)
    assert logit[1] - logit[0] == pytest.approx(step)


def test_one_or_two_trainings_without_others_to_pool_have_an_interval_for_these_trainings():
    values = table(3, 30, rng=np.random.default_rng(22), seed_sd=5.0)
    assert "trainings" not in estimate(values[:1]).parts
    two = estimate(values[:2])
    assert "trainings" not in two.parts
    assert replace(two, parts={}) == replace(estimate([np.mean(values[:2], axis=0).tolist()]), parts={})
    assert estimate(values).parts["trainings"] > 0


def test_the_difference_is_paired_by_seed_and_task():
    rng = np.random.default_rng(6)
    second = np.array(table(3, 50, rng=rng, seed_sd=1.0, task_sd=3.0, noise_sd=0.1))
    first = second + 0.2 + 0.01 * rng.standard_normal(second.shape)
    paired = difference(first.tolist(), second.tolist())
    assert replace(paired, p_value=None) == estimate((first - second).tolist())
    assert paired.value == pytest.approx(0.2, abs=0.005)
    assert paired.high - paired.low < 0.02
    unpaired = difference(first[:, ::-1].tolist(), second.tolist())
    assert unpaired.high - unpaired.low > 50 * (paired.high - paired.low)


@pytest.mark.parametrize("values", [[], [[]], [[1.0]], [[1.0], [2.0]], [[1.0, 2.0], [1.0]]])
def test_too_few_or_uneven_values_are_refused(values):
    with pytest.raises(NasError, match="at least two tasks"):
        estimate(values)


def test_values_that_do_not_pair_up_are_refused():
    with pytest.raises(NasError, match="cannot be paired"):
        difference([[1.0, 2.0]], [[1.0, 2.0, 3.0]])
    with pytest.raises(NasError, match="cannot be paired"):
        difference([[1.0, 2.0]] * 2, [[1.0, 2.0]])


def test_json_has_the_interval_as_a_pair():
    plain = {"value": 1.0, "stderr": 0.5, "interval": [0.0, 2.0], "parts": {"tasks": 0.5}}
    short = Estimate(1.0, 0.5, 0.0, 2.0, parts={"tasks": 0.5})
    assert short.to_json() == plain
    more = replace(short, p_value=0.0, classes=(0.5, 1.5), tasks=(0.25, 1.75), units=7).to_json()
    by_class = {"class_interval": [0.5, 1.5], "task_interval": [0.25, 1.75], "units": 7}
    assert more == {**plain, "p_value": 0.0, **by_class}


def test_scores_are_compared_only_under_one_protocol():
    def scores(values, **protocol):
        told = {"norm": "group", "bank": {"split": "test", "hash": "a"}, **protocol}
        return [Score(0.0, 0.0, per_task=tuple(row), protocol=told) for row in values]

    first, second = [[0.5, 0.75, 1.0], [0.25, 0.5, 0.5]], [[0.25, 0.5, 1.0], [0.5, 0.25, 0.25]]
    assert compare(scores(first), scores(second)) == difference(first, second)
    with pytest.raises(NasError, match="norm is 'group' in one, 'batch' in the other"):
        compare(scores(first), scores(second, norm="batch"))
    with pytest.raises(NasError, match="budget is None in one, 3 in the other"):
        compare(scores(first), scores(second, budget=3))
    with pytest.raises(NasError, match=r"bank\.hash is 'a' in one, 'b' in the other"):
        compare(scores(first), scores(second, bank={"split": "test", "hash": "b"}))
    with pytest.raises(NasError, match=r"bank\.hash is 'a' in one, None in the other"):
        compare(scores(first), scores(second, bank={"split": "test"}))
    with pytest.raises(NasError, match="cannot be paired"):
        compare(scores(first), scores(second[:1]))


def test_where_a_score_comes_from_does_not_hinder_a_comparison():
    first, second = (
        Score(0.5, 0.1, per_task=(0.25, 0.75), protocol={"norm": "group"}, provenance={"seed": seed, "device": device})
        for seed, device in ((1, "cpu"), (2, "cuda"))
    )
    assert compare([first], [second]).value == 0


# --- p-values --------------------------------------------------------------------------------------------------------


def test_the_p_value_of_one_seed_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(7)
    for tasks in (2, 3, 10, 200):
        first, second = rng.standard_normal((2, tasks))
        expected = scipy.stats.ttest_rel(first, second).pvalue
        assert difference([first.tolist()], [second.tolist()]).p_value == pytest.approx(expected)


def test_the_p_value_is_that_of_the_closed_forms_of_one_and_two_degrees_of_freedom():
    for second in (0.5, 2.0, 40.0):
        found = difference([[1.0, second]], [[0.0, 0.0]])
        t = found.value / found.stderr
        assert found.p_value == pytest.approx(1 - 2 / math.pi * math.atan(t))
        found = difference([[1.0, second, second]], [[0.0, 0.0, 0.0]])
        t = found.value / found.stderr
        assert found.p_value == pytest.approx(1 - t / math.sqrt(2 + t**2))


@pytest.mark.parametrize("seeds, tasks, seed_sd", [(1, 20, 0.0), (3, 50, 0.3), (5, 10, 1.0)])
def test_the_p_value_is_under_5_percent_exactly_where_the_interval_leaves_zero_out(seeds, tasks, seed_sd):
    rng = np.random.default_rng(8)
    sides = set()
    for _ in range(200):
        values = np.array(table(seeds, tasks, rng=rng, seed_sd=seed_sd)) + rng.normal()
        found, swapped = difference(values, 0 * values), difference(0 * values, values)
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)
        assert swapped.p_value == pytest.approx(found.p_value)
        sides.add(found.p_value < 0.05)
    assert sides == {True, False}


def test_p_values_of_equal_networks_are_uniform():
    rng = np.random.default_rng(9)
    found = []
    for _ in range(1500):
        values = table(3, 60, rng=rng, seed_sd=1.0)
        found.append(difference(values, np.zeros((3, 60))).p_value)
    for level in (0.05, 0.2, 0.5, 0.8):
        assert np.mean(np.array(found) < level) == pytest.approx(level, abs=0.05)


def test_the_interval_of_one_score_stays_within_0_and_1_where_its_tasks_do():
    near = Score(0.98, 0.04, per_task=(1.0, 0.96))
    low, high = over_tasks(near)
    assert 0 < low < 0.98 < high < 1
    assert over_tasks(Score(1.0, 0.0, per_task=(1.0, 1.0))) == (1.0, 1.0)
    loss = Score(-0.01, 0.5, per_task=(-0.5, 0.48))
    assert over_tasks(loss) == pytest.approx((-0.01 - 1.96 * 0.5, -0.01 + 1.96 * 0.5), abs=1e-3)
