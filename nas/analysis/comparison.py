"""Statistics of a comparison of controllers: means with intervals, paired differences, times to scores, curves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median_low, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .intervals import difference, t_quantile

MOST_POINTS = 200
"""Points of a curve over the whole budget."""


@dataclass(frozen=True)
class Point:
    """State of a search when its best candidate changed.

    Attributes:
        evaluations: Evaluations until then.
        seconds: Seconds that they took.
        value: Score of the new best candidate.
        reported: Value that the evaluator reports of it.
    """

    evaluations: int
    seconds: float
    value: float
    reported: float


@dataclass(frozen=True)
class Result:
    """Result of one search.

    Attributes:
        controller: Label of the controller.
        seed: Number of the search among those of the controller.
        reported: Value that the evaluator reports of the best candidate, which was chosen by its score.
        evaluations: Number of all evaluations.
        seconds: Seconds that they took.
        curve: A point for each change of the best candidate.
    """

    controller: str
    seed: int
    reported: float
    evaluations: int
    seconds: float
    curve: tuple[Point, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Result:
        return Result(**{**data, "curve": tuple(Point(**point) for point in data["curve"])})


Results = Mapping[str, Sequence[Result]]
"""By controller, the results in the order of their seeds, which are the same for each controller."""


@dataclass(frozen=True)
class Row:
    """One controller's reported value over seeds.

    Attributes:
        controller: Label of the controller.
        seeds: Number of searches.
        mean: Mean over them.
        sd: Standard deviation; None for one seed.
        ci95: The mean's 95 % interval, cut at 0 and 1 where all values of the comparison are within; None for one seed.
    """

    controller: str
    seeds: int
    mean: float
    sd: float | None
    ci95: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "ci95": None if self.ci95 is None else list(self.ci95)}


@dataclass(frozen=True)
class Pair:
    """Difference between the reported values of two controllers, paired by seed.

    Attributes:
        first: The controller with the higher mean.
        second: The other controller.
        value: Mean of first - second.
        ci95: Its 95 % interval.
        p_value: Two-sided p-value of a paired t test, corrected for all pairs of the comparison by Holm's method.
    """

    first: str
    second: str
    value: float
    ci95: tuple[float, float]
    p_value: float


@dataclass(frozen=True)
class Reached:
    """Time until a controller's best candidate is reported at a level or above.

    Attributes:
        controller: Label of the controller.
        level: The level.
        searches: Number of its searches that reach the level.
        median: Lower median of the time over all of its searches; None where fewer than half of them reach it.
    """

    controller: str
    level: float
    searches: int
    median: float | None


@dataclass(frozen=True)
class Curve:
    """Mean over seeds of the reported value of the best candidate so far, with its 95 % interval.

    Attributes:
        controller: Label of the controller.
        x: Seconds or evaluations (points,).
        mean: Mean (points,).
        low: Lower end of the interval (points,).
        high: Upper end of the interval (points,).
    """

    controller: str
    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def rows(results: Results) -> list[Row]:
    """A row for each controller, in their order."""
    bounds = _bounds(results)
    return [_row(name, [result.reported for result in searches], bounds) for name, searches in results.items()]


def pairs(results: Results) -> list[Pair]:
    """The difference of every two controllers, the better one first; none with fewer than two seeds."""
    differences = []
    for one, other in itertools.combinations(results, 2):
        first, second = ([result.reported for result in results[name]] for name in (one, other))
        if len(first) < 2:
            return []
        if fmean(second) > fmean(first):
            one, other, first, second = other, one, second, first
        differences.append((one, other, difference([first], [second])))
    corrected = holm([apart.p_value or 0.0 for _, _, apart in differences])
    return [
        Pair(one, other, apart.value, (apart.low, apart.high), p)
        for (one, other, apart), p in zip(differences, corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm, "A simple sequentially rejective multiple test procedure", 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def level(results: Results) -> float:
    """The mean final value of 'random' if it is among the controllers, else the lowest mean final value of all."""
    ends = {name: fmean(result.curve[-1].reported for result in searches) for name, searches in results.items()}
    return ends.get("random", min(ends.values()))


def reached(results: Results, levels: Sequence[float], *, seconds: bool) -> list[Reached]:
    """The time in which each controller reaches each level, in seconds or in evaluations."""
    return [_reached(name, searches, level, seconds) for level in levels for name, searches in results.items()]


def curves(results: Results, *, seconds: bool) -> list[Curve]:
    """A curve for each controller over one time axis, from when all of its searches have a scored candidate."""
    ends = [_x(result, seconds) for searches in results.values() for result in searches]
    if seconds:
        grid = np.linspace(0, max(ends), MOST_POINTS)
    else:
        grid = np.unique(np.linspace(1, max(ends), MOST_POINTS).round())
    bounds = _bounds(results)
    return [_curve(name, searches, grid, bounds, seconds=seconds) for name, searches in results.items()]


def _bounds(results: Results) -> tuple[float, float]:
    """Ends at which intervals are cut: 0 and 1 where all values are within, as accuracies are; else none."""
    values = [point.reported for searches in results.values() for result in searches for point in result.curve]
    values += [result.reported for searches in results.values() for result in searches]
    return (0.0, 1.0) if all(0 <= value <= 1 for value in values) else (-math.inf, math.inf)


def _row(name: str, values: Sequence[float], bounds: tuple[float, float]) -> Row:
    if len(values) < 2:
        return Row(name, len(values), fmean(values), None, None)
    mean, sd = fmean(values), stdev(values)
    margin = sd / math.sqrt(len(values)) * t_quantile(0.975, len(values) - 1)
    return Row(name, len(values), mean, sd, (max(bounds[0], mean - margin), min(bounds[1], mean + margin)))


def _reached(name: str, results: Sequence[Result], level: float, seconds: bool) -> Reached:
    times = []
    for result in results:
        reached_at = (_time(point, seconds) for point in result.curve if point.reported >= level)
        times.append(next(reached_at, math.inf))
    middle = median_low(times)
    return Reached(name, level, sum(map(math.isfinite, times)), middle if math.isfinite(middle) else None)


def _curve(
    name: str, results: Sequence[Result], grid: NDArray[np.float64], bounds: tuple[float, float], *, seconds: bool
) -> Curve:
    begins = max(_time(result.curve[0], seconds) for result in results)
    x = np.append(begins, grid[grid > begins])
    table = np.array([_values(result, x, seconds) for result in results])
    mean = table.mean(axis=0)
    margin = np.zeros_like(mean)
    if len(results) > 1:
        margin = table.std(axis=0, ddof=1) / math.sqrt(len(results)) * t_quantile(0.975, len(results) - 1)
    return Curve(name, x, mean, np.maximum(bounds[0], mean - margin), np.minimum(bounds[1], mean + margin))


def _values(result: Result, x: NDArray[np.float64], seconds: bool) -> NDArray[np.float64]:
    """The reported value of the best candidate at each time, (points,)."""
    times = [_time(point, seconds) for point in result.curve]
    reported = np.array([point.reported for point in result.curve], dtype=np.float64)
    return np.take(reported, np.searchsorted(times, x, side="right") - 1)


def _time(point: Point, seconds: bool) -> float:
    return point.seconds if seconds else float(point.evaluations)


def _x(result: Result, seconds: bool) -> float:
    return result.seconds if seconds else float(result.evaluations)
