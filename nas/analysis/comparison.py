"""What the results of a comparison say: means with intervals, paired differences, times to reach scores, curves."""

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


@dataclass(frozen=True)
class Point:
    """What a search had found when its best candidate changed: `evaluations` and their seconds until then, the best
    score, and what is reported of it."""

    evaluations: int
    seconds: float
    value: float
    reported: float


@dataclass(frozen=True)
class Result:
    """How one search ended; `reported` is of the candidate that its scores chose.

    evaluations, seconds  all of them, and what they cost together
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
"""By controller, in the order of their seeds, the same seeds for each."""


@dataclass(frozen=True)
class Row:
    """One controller's reported value over seeds: mean, standard deviation and the mean's 95 % interval, of which one
    seed has neither."""

    controller: str
    seeds: int
    mean: float
    sd: float | None
    ci95: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "ci95": None if self.ci95 is None else list(self.ci95)}


@dataclass(frozen=True)
class Pair:
    """By how much the first controller's reported value is above the second's, paired by seed.

    p_value  two-sided, of a paired t test, corrected for all pairs of the comparison by Holm's method
    """

    first: str
    second: str
    value: float
    ci95: tuple[float, float]
    p_value: float


@dataclass(frozen=True)
class Reached:
    """When a controller's best candidate is first reported at `level` or above: in so many of its searches, at this
    (lower) median over all of them, None where fewer than half of them come to it."""

    controller: str
    level: float
    searches: int
    median: float | None


@dataclass(frozen=True)
class Curve:
    """The mean over seeds of what is reported of the best candidate so far, and its 95 % interval, each (points,)."""

    controller: str
    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def rows(results: Results) -> list[Row]:
    """A row for each controller, in the order that they were given."""
    return [_row(name, [result.reported for result in found]) for name, found in results.items()]


def pairs(results: Results) -> list[Pair]:
    """Every two controllers, the better first; none with fewer than two seeds."""
    found = []
    for one, other in itertools.combinations(results, 2):
        first, second = ([result.reported for result in results[name]] for name in (one, other))
        if len(first) < 2:
            return []
        if fmean(second) > fmean(first):
            one, other, first, second = other, one, second, first
        found.append((one, other, difference([first], [second])))
    corrected = holm([apart.p_value or 0.0 for _, _, apart in found])
    return [
        Pair(one, other, apart.value, (apart.low, apart.high), p)
        for (one, other, apart), p in zip(found, corrected, strict=True)
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
    """What the control comes to in the end: 'random' where it is among them, else the controller of the lowest mean."""
    ends = {name: fmean(result.curve[-1].reported for result in found) for name, found in results.items()}
    return ends.get("random", min(ends.values()))


def reached(results: Results, levels: Sequence[float], *, seconds: bool) -> list[Reached]:
    """When each controller came to each level, in seconds or in evaluations."""
    return [_reached(name, found, level, seconds) for level in levels for name, found in results.items()]


def curves(results: Results, *, seconds: bool) -> list[Curve]:
    """A curve for each controller over one time axis, from when all of its searches have a scored candidate."""
    ends = [_x(result, seconds) for found in results.values() for result in found]
    if seconds:
        grid = np.linspace(0, max(ends), MOST_POINTS)
    else:
        grid = np.unique(np.linspace(1, max(ends), MOST_POINTS).round())
    return [_curve(name, found, grid, seconds) for name, found in results.items()]


def _row(name: str, values: Sequence[float]) -> Row:
    if len(values) < 2:
        return Row(name, len(values), fmean(values), None, None)
    mean, sd = fmean(values), stdev(values)
    margin = sd / math.sqrt(len(values)) * t_quantile(0.975, len(values) - 1)
    return Row(name, len(values), mean, sd, (mean - margin, mean + margin))


def _reached(name: str, results: Sequence[Result], level: float, seconds: bool) -> Reached:
    times = []
    for result in results:
        at = (point.seconds if seconds else point.evaluations for point in result.curve if point.reported >= level)
        times.append(float(next(at, math.inf)))
    middle = median_low(times)
    return Reached(name, level, sum(map(math.isfinite, times)), middle if math.isfinite(middle) else None)


def _curve(name: str, results: Sequence[Result], grid: NDArray[np.float64], seconds: bool) -> Curve:
    begins = max((result.curve[0].seconds if seconds else result.curve[0].evaluations) for result in results)
    x = np.append(begins, grid[grid > begins])
    table = np.array([_at(result, x, seconds) for result in results])
    mean = table.mean(axis=0)
    margin = np.zeros_like(mean)
    if len(results) > 1:
        margin = table.std(axis=0, ddof=1) / math.sqrt(len(results)) * t_quantile(0.975, len(results) - 1)
    return Curve(name, x, mean, mean - margin, mean + margin)


def _at(result: Result, x: NDArray[np.float64], seconds: bool) -> NDArray[np.float64]:
    times = [point.seconds if seconds else point.evaluations for point in result.curve]
    values = np.array([point.reported for point in result.curve])
    found: NDArray[np.float64] = values[np.searchsorted(times, x, side="right") - 1]
    return found


def _x(result: Result, seconds: bool) -> float:
    return result.seconds if seconds else float(result.evaluations)
