"""Variance over units of classes: against slow versions, closed forms, and the coverage of intervals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nas.analysis.class_variance import unit_variance
from nas.analysis.intervals import average, compare, estimate, t_quantile
from nas.errors import NasError
from nas.trial import Score


def tasks_of_classes(*, rng, classes=40, tasks=200, ways=5, queries=15, class_sd=0.1, task_sd=0.05):
    """Tasks of `ways` classes drawn from `classes`, whose accuracies are 0.5 in the mean over all classes there are.

    Returns the classes (tasks, ways), and a function that measures a network: queries right, (tasks, ways).
    """
    chosen = rng.random((tasks, classes)).argsort(axis=1)[:, :ways]
    hard = 0.5 + class_sd * rng.standard_normal(classes)[chosen] + task_sd * rng.standard_normal((tasks, 1))
    return chosen, lambda lead=0.0: rng.binomial(queries, np.clip(hard + lead, 0, 1))


def score_of(chosen, right, queries=15, *, per_unit=1):
    """`per_unit` classes with neighbouring numbers are one unit."""
    rows = [(int(c), int(right[chosen == c].sum()), queries * int((chosen == c).sum())) for c in np.unique(chosen)]
    cells = []
    for task, (of_task, rights) in enumerate(zip(chosen // per_unit, right, strict=True)):
        for u in np.unique(of_task):
            cells.append((task, int(u), int(rights[of_task == u].sum()), queries * int((of_task == u).sum())))
    per_task = right.mean(axis=1) / queries
    score = Score(float(per_task.mean()), 0.0, per_task=tuple(per_task.tolist()), per_class=tuple(rows))
    return replace(score, per_unit=tuple(cells), units="characters")


@pytest.mark.parametrize("per_unit", [1, 4])
def test_the_variances_are_those_of_residuals_summed_by_unit_and_by_cell(per_unit):
    chosen, measure = tasks_of_classes(rng=np.random.default_rng(10), classes=40, tasks=40)
    right = measure()
    found = unit_variance([score_of(chosen, right, per_unit=per_unit)])
    mean = right.sum() / (15 * right.size)
    by_unit, by_cell, asked = {}, {}, {}
    for task in range(40):
        for c, r in zip(chosen[task], right[task], strict=True):
            unit, residual = c // per_unit, (r - 15 * mean) / (15 * right.size)
            by_unit[unit] = by_unit.get(unit, 0.0) + residual
            by_cell[task, unit] = by_cell.get((task, unit), 0.0) + residual
            asked[unit] = asked.get(unit, 0) + 1 / right.size
    w = np.array(list(asked.values()))
    factor = (w**2).sum() / (w**2 * (1 - 2 * w + (w**2).sum())).sum()
    assert (found.name, found.count, found.mean) == ("characters", len(by_unit), pytest.approx(mean))
    assert found.over_units == pytest.approx(factor * sum(z * z for z in by_unit.values()))
    cells = len(by_cell)
    assert found.shared == pytest.approx(cells / (cells - 1) * sum(z * z for z in by_cell.values()))


@pytest.mark.parametrize("count", [2, 5, 30])
def test_equal_units_have_the_standard_error_and_degrees_of_freedom_of_a_mean(count):
    rights = np.random.default_rng(11).integers(0, 301, size=count)
    scores = [Score(0.0, 0.0, per_class=tuple((c, int(r), 300) for c, r in enumerate(rights)))]
    found = unit_variance(scores)
    assert found.over_units == pytest.approx((rights / 300).var(ddof=1) / count)
    assert found.freedom == pytest.approx(count - 1)


def test_unequal_units_have_an_unbiased_variance_and_the_degrees_of_freedom_of_a_simulation():
    rng = np.random.default_rng(12)
    asked = np.array([3000, 1000, 1000, 500, 500, 200])
    found = []
    for _ in range(4000):
        rights = asked * (0.5 + 0.05 * rng.standard_normal(6))
        scores = [Score(0.0, 0.0, per_class=tuple(zip(range(6), rights.tolist(), asked.tolist(), strict=True)))]
        found.append(unit_variance(scores))
    variances = np.array([one.over_units for one in found])
    assert variances.mean() == pytest.approx(0.05**2 * (asked**2).sum() / asked.sum() ** 2, rel=0.05)
    assert found[0].freedom == pytest.approx(2 * variances.mean() ** 2 / variances.var(), rel=0.1)


def test_classes_of_one_unit_do_not_count_as_independent():
    """All rotations of a character are hard together: as classes of their own they make the interval half as wide."""
    rng = np.random.default_rng(13)
    hard = np.repeat(rng.normal(0.5, 0.1, size=25), 4)
    chosen = rng.random((600, 100)).argsort(axis=1)[:, :5]
    right = rng.binomial(15, np.clip(hard[chosen], 0, 1))
    together, apart = (unit_variance([score_of(chosen, right, per_unit=n)]) for n in (4, 1))
    assert math.sqrt(together.over_units / apart.over_units) == pytest.approx(2, rel=0.25)
    assert (together.count, apart.count) == (25, 100)


def test_one_interval_counts_what_tasks_and_units_share_once():
    chosen, measure = tasks_of_classes(rng=np.random.default_rng(14))
    score = score_of(chosen, measure())
    units, found = unit_variance([score]), average([score], accuracy=True)
    same = estimate([score.per_task], accuracy=True)
    assert found.parts["characters"] == pytest.approx(math.sqrt(units.over_units))
    assert found.stderr**2 == pytest.approx(same.stderr**2 + units.over_units - units.shared)
    assert found.tasks == (same.low, same.high)
    odds = math.log(found.value / (1 - found.value))
    step = t_quantile(0.975, units.freedom) * math.sqrt(units.over_units) / (found.value * (1 - found.value))
    assert math.log(found.classes[1] / (1 - found.classes[1])) == pytest.approx(odds + step)
    assert found.units == 40


def test_where_all_classes_of_a_task_are_of_one_unit_tasks_add_nothing():
    chosen, measure = tasks_of_classes(rng=np.random.default_rng(15))
    groups = np.random.default_rng(16).integers(6, size=(200, 1))
    score = score_of(40 * groups + chosen, measure(), per_unit=40)
    found = average([score], accuracy=True)
    assert found.parts["tasks"] == pytest.approx(0, abs=1e-9)
    assert (found.low, found.high) == pytest.approx(found.classes)


def test_scores_of_before_have_classes_as_units_and_the_sum_of_squares():
    chosen, measure = tasks_of_classes(rng=np.random.default_rng(17))
    score = score_of(chosen, measure(), per_unit=4)
    data = score.to_json()
    del data["per_unit"], data["units"]
    old = Score.from_json(data)
    found = average([old], accuracy=True)
    assert set(found.parts) == {"tasks", "classes"}
    assert found.stderr == pytest.approx(math.hypot(found.parts["classes"], estimate([old.per_task]).stderr))
    assert Score.from_json(score.to_json()) == score


def test_combined_intervals_hold_the_mean_of_all_classes_and_tasks_and_those_over_tasks_do_not():
    rng = np.random.default_rng(18)
    together = over_tasks = 0
    for _ in range(600):
        chosen, measure = tasks_of_classes(rng=rng)
        found = average([score_of(chosen, measure())], accuracy=True)
        together += found.low <= 0.5 <= found.high
        over_tasks += found.tasks[0] <= 0.5 <= found.tasks[1]
    assert 0.925 < together / 600 < 0.975
    assert over_tasks / 600 < 0.75


def test_the_difference_is_of_the_same_classes_so_what_makes_them_hard_for_both_drops_out():
    chosen, measure = tasks_of_classes(rng=np.random.default_rng(14), task_sd=0.0)
    first, second = score_of(chosen, measure(0.1)), score_of(chosen, measure())
    found = compare([first], [second], accuracy=True)
    assert found.low < 0.1 < found.high
    alone = unit_variance([first])
    both, swapped = unit_variance([first], [second]), unit_variance([second], [first])
    assert math.sqrt(both.over_units / alone.over_units) < 0.6
    assert swapped.over_units == pytest.approx(both.over_units)
    assert swapped.mean == pytest.approx(-both.mean)
    assert (found.p_value < 0.05) == (found.low > 0)


def test_seeds_are_averaged():
    chosen, measure = tasks_of_classes(rng=np.random.default_rng(15))
    one, two = measure(), measure()
    both = unit_variance([score_of(chosen, one), score_of(chosen, two)])
    double = unit_variance([score_of(chosen, one + two, 30)])
    assert (both.over_units, both.shared) == pytest.approx((double.over_units, double.shared))


def test_without_classes_or_with_one_unit_there_is_no_such_variance():
    plain, single = Score(0.5, 0.0, per_task=(0.5, 0.5)), Score(0.5, 0.0, per_task=(0.5, 0.5), per_class=((3, 5, 10),))
    assert average([plain]).classes is compare([plain], [plain]).classes is unit_variance([single]) is None
    assert unit_variance([plain], [replace(plain, per_class=((1, 1, 2), (2, 2, 2)))]) is None
    assert set(average([single]).parts) == {"tasks"}


@pytest.mark.parametrize("other", [((1, 1, 2), (3, 2, 2)), ((1, 1, 2), (2, 2, 4)), ((1, 1, 2), (2, 2, 2), (3, 1, 2))])
def test_scores_of_other_classes_are_refused(other):
    first, second = (Score(0.5, 0.0, per_class=rows) for rows in (((1, 1, 2), (2, 2, 2)), other))
    with pytest.raises(NasError, match="scores of other classes"):
        unit_variance([first], [second])
