"""Statistics of a comparison, against slow versions, and its report."""

from __future__ import annotations

import csv
import math
import random
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy.stats import ttest_rel

from nas.analysis.comparison import Point, Result, curves, holm, level, pairs, reached, rows
from nas.report.comparison import Comparison, draw, text, write


def drawn(seeds: int = 6) -> dict[str, list[Result]]:
    """Results of three controllers, with curves that begin and rise at different times."""
    rng, found = random.Random(1), {}
    for number, name in enumerate(("a", "b", "random")):
        found[name] = []
        for seed in range(seeds):
            at = sorted(rng.uniform(1, 100) for _ in range(5))
            values = sorted(rng.uniform(0, 1) + 0.1 * number for _ in range(5))
            points = [Point(3 * i + 1 + seed % 2, t, v, v + 1) for i, (t, v) in enumerate(zip(at, values, strict=True))]
            found[name].append(Result(name, seed, points[-1].reported, 20, 100.0, tuple(points)))
    return found


def test_rows_and_pairs_are_those_of_the_textbook() -> None:
    results = drawn()
    values = {name: np.array([r.reported for r in found]) for name, found in results.items()}
    for row in rows(results):
        mine = values[row.controller]
        assert (row.seeds, row.mean, row.sd) == (6, pytest.approx(mine.mean()), pytest.approx(mine.std(ddof=1)))
        assert row.ci95 is not None
        assert row.ci95[1] - row.mean == pytest.approx(2.5705818 * mine.std(ddof=1) / 6**0.5)  # Student's t, 5 degrees
    found = pairs(results)
    assert [{pair.first, pair.second} for pair in found] == [{"a", "b"}, {"a", "random"}, {"b", "random"}]
    plain = [ttest_rel(values[pair.first], values[pair.second]).pvalue for pair in found]
    assert [pair.p_value for pair in found] == pytest.approx(holm(plain))
    for pair in found:
        assert pair.value == pytest.approx((values[pair.first] - values[pair.second]).mean())
        assert pair.value >= 0
        assert pair.ci95[0] < pair.value < pair.ci95[1]


def test_one_seed_has_a_mean_and_no_interval() -> None:
    results = drawn(1)
    assert [(row.sd, row.ci95) for row in rows(results)] == [(None, None)] * 3
    assert pairs(results) == []
    assert "–" in text(Comparison.of(results, seconds=True, levels=[]))
    assert rows(results)[0].to_json()["ci95"] is None


def test_holm_is_the_published_correction() -> None:
    """The example of statsmodels' documentation by hand: sorted p times what is left, never falling, at most 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("seconds", [True, False])
def test_curves_and_times_are_those_of_a_slow_reading(seconds: bool) -> None:
    results = drawn()

    def x(point: Point) -> float:
        return point.seconds if seconds else point.evaluations

    for curve in curves(results, seconds=seconds):
        found = results[curve.controller]
        assert min(curve.x) >= max(x(result.curve[0]) for result in found)
        assert max(curve.x) == (100 if seconds else 20)
        for at, mean, low, high in zip(curve.x, curve.mean, curve.low, curve.high, strict=True):
            values = np.array([[p for p in result.curve if x(p) <= at][-1].reported for result in found])
            margin = 2.5705818 * values.std(ddof=1) / 6**0.5
            assert (mean, high - mean, mean - low) == pytest.approx((values.mean(), margin, margin))
    told = reached(results, [1.5, 99.0], seconds=seconds)
    for entry in told:
        times = sorted(
            next((x(p) for p in result.curve if p.reported >= entry.level), math.inf)
            for result in results[entry.controller]
        )
        assert entry.searches == sum(map(math.isfinite, times))
        assert entry.median == (times[2] if math.isfinite(times[2]) else None)
    assert [entry.searches for entry in told[3:]] == [0, 0, 0]
    assert level(results) == pytest.approx(np.mean([r.curve[-1].reported for r in results["random"]]))
    assert level({"a": results["a"], "b": results["b"]}) < level(results)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    standings = Comparison.of(drawn(), seconds=True, levels=[1.2])
    files = write(standings, tmp_path, "a title")
    assert [path.name for path in files] == ["table.txt", "results.csv", "curves.csv", "curves.png"]
    with files[1].open() as file:
        read = [(row["controller"], int(row["seed"]), float(row["reported"])) for row in csv.DictReader(file)]
    assert read == [(r.controller, r.seed, r.reported) for found in drawn().values() for r in found]
    with files[2].open() as file:
        assert len(list(csv.DictReader(file))) == sum(len(curve.x) for curve in standings.curves)
    assert files[3].read_bytes().startswith(b"\x89PNG")
    first = files[0].read_text("utf-8").splitlines()
    assert [line.split()[0] for line in first[1:4]] == ["random", "b", "a"]


def test_a_curve_begins_where_all_its_searches_have_a_candidate_also_at_their_very_end() -> None:
    """By rounding, the sum of the seconds may be less than their running sum."""
    late = Result("late", 0, 1.0, 1, 0.3, (Point(1, 0.1 + 0.2, 1.0, 1.0),))
    [curve] = curves({"late": [late]}, seconds=True)
    assert curve.x.tolist() == [0.1 + 0.2]
    assert curve.mean.tolist() == [1.0]


def test_labels_and_titles_are_drawn_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    legend = Axes.legend
    monkeypatch.setattr(
        Axes, "legend", lambda axes, **kw: seen.extend(axes.get_legend_handles_labels()[1]) or legend(axes, **kw)
    )
    points = (Point(1, 1.0, 0.4, 0.4), Point(2, 2.0, 0.5, 0.5))
    results = {name: [Result(name, s, 0.5, 2, 2.0, points) for s in (0, 1)] for name in ("_mine", r"a$\b$", "random")}
    draw(Comparison.of(results, seconds=False, levels=()), tmp_path / "curves.png", r"t $\b$")
    assert sorted(seen) == [" _mine", r"a\$\b\$", "random"]


def test_intervals_of_values_within_0_and_1_are_cut_there_and_others_are_not() -> None:
    def searched(factor: float) -> dict[str, list[Result]]:
        ends = {"a": (0.9, 1.0), "b": (0.0, 0.1)}
        return {
            name: [Result(name, i, factor * v, 4, 9.0, (Point(1, 1.0, v, factor * v),)) for i, v in enumerate(values)]
            for name, values in ends.items()
        }

    assert [row.ci95 for row in rows(searched(1.0))] == [
        (pytest.approx(0.95 - 12.7062047 * 0.05), 1.0),
        (0.0, pytest.approx(0.05 + 12.7062047 * 0.05)),
    ]
    first, second = curves(searched(1.0), seconds=False)
    assert first.high.max() == 1
    assert second.low.min() == 0
    above = rows(searched(100.0))[0].ci95
    assert above is not None
    assert above[1] > 100
