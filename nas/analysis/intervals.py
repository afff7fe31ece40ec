"""Means with 95 % intervals over what few-shot results depend on: tasks, trainings (meta-training seeds), classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import NasError, shown
from ..trial import Score
from .class_variance import UnitVariance, unit_variance
from .protocol_check import differences
from .seed_variance import SeedPool, SeedVariance, chosen, square_scale

TASKS: Final = "tasks"
TRAININGS: Final = "trainings"


@dataclass(frozen=True)
class Estimate:
    """A mean, its standard error, and its one 95 % interval over all that it depends on.

    Attributes:
        value: The mean.
        stderr: Its standard error, of all parts together; not a number where there is none, as of a table's value.
        low: Lower end of the interval; not a number where there is none.
        high: Upper end of the interval; not a number where there is none.
        p_value: Of a difference: the probability of one as far from zero, or further, were the true one zero.
        classes: The part of the interval that is over units of classes alone; None where there are none.
        tasks: The part that is over tasks and trainings with the same classes; None where there are no classes.
        parts: By what the interval covers ('tasks', 'trainings', 'alphabets'), the standard error that is due to it.
            Without 'trainings' the interval holds for these trainings only, without classes for these classes. Empty
            in results of earlier versions.
        units: How many units of classes there are; None where there are none.
    """

    value: float
    stderr: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p_value: float | None = None
    classes: tuple[float, float] | None = None
    tasks: tuple[float, float] | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    units: int | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the 95 % interval; None where there is none."""
        return None if math.isnan(self.low) else (self.low, self.high)

    def to_json(self) -> dict[str, Any]:
        """The numbers that there are, as JSON values; `from_json` reads them back."""
        data = {
            "value": self.value,
            "stderr": self.stderr,
            "interval": _ends(self.interval),
            "p_value": self.p_value,
            "class_interval": _ends(self.classes),
            "task_interval": _ends(self.tasks),
            "units": self.units,
            "parts": dict(self.parts) or None,
        }
        return {key: entry for key, entry in data.items() if not _missing(entry)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Estimate:
        """Reads what `to_json` wrote. Of results of earlier versions, any of the numbers may be missing."""
        low, high = data.get("interval") or (math.nan, math.nan)
        classes, tasks = data.get("class_interval"), data.get("task_interval")
        return Estimate(
            value=data.get("value", data.get("accuracy", math.nan)),
            stderr=data.get("stderr", math.nan),
            low=low,
            high=high,
            p_value=data.get("p_value"),
            classes=(classes[0], classes[1]) if classes else None,
            tasks=(tasks[0], tasks[1]) if tasks else None,
            parts=dict(data.get("parts", {})),
            units=data.get("units"),
        )


@dataclass(frozen=True)
class _Part:
    """A part of the variance of a mean.

    Attributes:
        variance: The part, from 0.
        freedom: Degrees of freedom of the mean square that it is computed from.
    """

    variance: float
    freedom: float


def over_tasks(score: Score) -> tuple[float, float]:
    """The 95 % interval of one score over tasks, from its standard error; within [0, 1] where its tasks' values are."""
    accuracy = bool(score.per_task) and all(0 <= value <= 1 for value in (*score.per_task, score.value))
    part = _Part(score.stderr**2, math.inf)
    found = _with_interval(score.value, {TASKS: part}, "accuracy" if accuracy else "any")
    return found.low, found.high


def estimate(
    values: Sequence[Sequence[float]], *, accuracy: bool = False, pooled: SeedVariance | None = None
) -> Estimate:
    """The mean of `values[seed][task]`, for seeds and tasks like these: both are taken as random samples.

    Two-way random effects without replication: with mean squares of tasks T, seeds S and residual E, the mean's
    variance is (T + S - E) / (seeds * tasks) (Searle, Casella & McCulloch, "Variance components", 1992, chapter 4). Its
    parts are S and max(0, T - E). E is not subtracted from S, because an estimate of S - E that is zero or negative
    would hide how uncertain it is. With fewer than five seeds S and E are the pooled ones, where these have more
    degrees of freedom; where neither has two, the interval is over tasks alone, for these trainings.

    Args:
        values: By seed and task; in [0, 1] where they are accuracies.
        accuracy: The interval is symmetric on the logit scale, and so lies within [0, 1].
        pooled: Seed variance of networks like this one, in the units of the values.

    Raises:
        NasError: Fewer than two tasks, or rows of unequal length.
    """
    table = _table(values)
    return _with_interval(float(table.mean()), _task_parts(table, pooled), "accuracy" if accuracy else "any")


def difference(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    *,
    accuracy: bool = False,
    pooled: SeedVariance | None = None,
) -> Estimate:
    """The mean of first - second, paired by seed and task, with the two-sided p-value of the same t statistic.

    So the p-value is under 0.05 where the interval leaves zero out.

    Args:
        first: By seed and task; in [0, 1] where they are accuracies.
        second: Likewise, for the same seeds and tasks.
        accuracy: The interval is cut at -1 and 1.
        pooled: Seed variance of such differences, in the units of the values.

    Raises:
        NasError: The two do not pair up, or there are fewer than two tasks.
    """
    table = _paired(first, second)
    parts = _task_parts(table, pooled)
    return _with_p_value(_with_interval(float(table.mean()), parts, "difference" if accuracy else "any"), parts)


def average(scores: Sequence[Score], *, accuracy: bool = False, pool: SeedPool | None = None) -> Estimate:
    """The mean of one network's scores over tasks, trainings and units of classes together.

    Args:
        scores: One score a seed, on the same tasks.
        accuracy: Whether the values are accuracies.
        pool: Networks that were trained with the same seeds, from which the seed variance is pooled.

    Raises:
        NasError: Fewer than two tasks, or scores on other tasks.
    """
    table = _table([score.per_task for score in scores])
    pooled = pool.of_means() if pool else None
    if pooled is not None:
        pooled = pooled.scaled(square_scale(table, accuracy=accuracy))
    return _combined(table, pooled, unit_variance(scores), "accuracy" if accuracy else "any")[0]


def compare(
    first: Sequence[Score], second: Sequence[Score], *, accuracy: bool = False, pool: SeedPool | None = None
) -> Estimate:
    """By how much the first network's scores are above the second's, paired by seed and task.

    Args:
        first: The first network's scores, one a seed.
        second: The second network's, for the same seeds and tasks.
        accuracy: Whether the values are accuracies.
        pool: Networks that were trained with the same seeds, from which the seed variance is pooled.

    Raises:
        NasError: The scores do not pair up, or have different protocols; the message names the difference.
    """
    for a, b in zip(first, second, strict=False):
        for key, one, other in differences(a.protocol, b.protocol):
            raise NasError(
                f"scores of different protocols cannot be compared: {key} is {shown(one)} in one, {shown(other)} in "
                "the other; measure both in the same way"
            )
    ours, theirs = ([score.per_task for score in scores] for scores in (first, second))
    table = _paired(ours, theirs)
    pooled = pool.of_differences() if pool else None
    if pooled is not None:
        pooled = pooled.scaled(sum(square_scale(_table(values), accuracy=accuracy) for values in (ours, theirs)))
    units = unit_variance(first, second)
    return _with_p_value(*_combined(table, pooled, units, "difference" if accuracy else "any"))


def proportion_interval(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson, "Probable inference, the law of succession, and statistical inference",
    1927)."""
    z = 1.959963984540054
    centre, spread = (successes + z * z / 2) / (count + z * z), successes * (count - successes) / count + z * z / 4
    half = z * spread**0.5 / (count + z * z)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_difference_interval(better: int, worse: int, count: int) -> tuple[float, float]:
    """95 % interval of the difference between two proportions of the same examples, in [-1, 1] (Bonett and Price,
    "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data", 2012).

    Args:
        better: Number of examples that only the first method gets right.
        worse: Number of examples that only the second method gets right.
        count: Number of all examples, at least 1.
    """
    z = 1.959963984540054
    first, second = (better + 1) / (count + 2), (worse + 1) / (count + 2)
    half = z * ((first + second - (first - second) ** 2) / (count + 2)) ** 0.5
    return max(-1.0, first - second - half), min(1.0, first - second + half)


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t distribution at a probability."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def t_probability(t: float, freedom: float) -> float:
    """The probability that a variable of Student's t distribution is at most `t`."""
    from scipy.special import stdtr

    return float(stdtr(freedom, t))


def t_freedom(probability: float, t: float) -> float:
    """The degrees of freedom at which `t` is the quantile of Student's t distribution at `probability`."""
    from scipy.special import stdtridf

    return float(stdtridf(probability, t))


def _task_parts(table: npt.NDArray[np.float64], pooled: SeedVariance | None) -> dict[str, _Part]:
    """The parts of the variance of the mean of a table (seeds, tasks), as `estimate` says."""
    seeds, tasks = table.shape
    over_tasks = float(table.mean(axis=0).var(ddof=1)) / tasks
    variance = chosen(table, pooled)
    if variance is None:
        return {TASKS: _Part(over_tasks, tasks - 1)}
    return {
        TASKS: _Part(max(0.0, over_tasks - variance.noise / seeds), tasks - 1),
        TRAININGS: _Part(variance.raw / seeds, variance.freedom),
    }


def _combined(
    table: npt.NDArray[np.float64], pooled: SeedVariance | None, units: UnitVariance | None, kind: str
) -> tuple[Estimate, dict[str, _Part]]:
    """The interval over tasks, trainings and units of classes together, with its parts beside it."""
    mean, parts = float(table.mean()), _task_parts(table, pooled)
    if units is None:
        return _with_interval(mean, parts, kind), parts
    same = _with_interval(mean, parts, kind)
    over = {units.name: _Part(units.over_units, units.freedom)}
    alone = _with_interval(units.mean, over, kind)
    # The variance of one unit's results in one task is part of both variances, but counts once.
    rest = max(0.0, parts[TASKS].variance - units.shared)
    together = {**parts, TASKS: replace(parts[TASKS], variance=rest), **over}
    combined = replace(
        _with_interval(mean, together, kind),
        classes=(alone.low, alone.high),
        tasks=(same.low, same.high),
        units=units.count,
    )
    return combined, together


def _total(parts: Mapping[str, _Part]) -> tuple[float, float]:
    """The standard error of all parts together, and the degrees of freedom of the t that makes a margin of it.

    Satterthwaite's degrees of freedom suit parts that all have few. Together with tasks, which have many, they come out
    too high where the other parts happen to be small. So the squared margin of tasks is added to that of all other
    parts, each with its own t (Howe, "Approximate confidence limits on the mean of X + Y where X and Y are two tabled
    independent random variables", Journal of the American Statistical Association, 1974).
    """
    tasks, others = parts.get(TASKS), [part for name, part in parts.items() if name != TASKS]
    if not others:
        return math.sqrt(parts[TASKS].variance), parts[TASKS].freedom
    rest = sum(part.variance for part in others)
    uncertainty = sum(part.variance**2 / part.freedom for part in others)
    fewest = min(part.freedom for part in others)
    freedom = max(fewest, rest**2 / uncertainty) if uncertainty else fewest
    if tasks is None or not tasks.variance:
        return math.sqrt(rest), freedom
    variance = tasks.variance + rest
    square = tasks.variance * t_quantile(0.975, tasks.freedom) ** 2 + rest * t_quantile(0.975, freedom) ** 2
    return math.sqrt(variance), t_freedom(0.975, math.sqrt(square / variance))


def _with_interval(mean: float, parts: Mapping[str, _Part], kind: str) -> Estimate:
    stderr, freedom = _total(parts)
    margin = stderr * t_quantile(0.975, freedom)
    low, high = mean - margin, mean + margin
    if kind == "difference":
        low, high = max(-1.0, low), min(1.0, high)
    elif kind == "accuracy" and 0 < mean < 1:
        # The delta method: the logit's standard error is that of the accuracy over its derivative, p (1 - p).
        odds, step = math.log(mean / (1 - mean)), margin / (mean * (1 - mean))
        low, high = (_logistic(odds - step), _logistic(odds + step))
    return Estimate(mean, stderr, low, high, parts={name: math.sqrt(part.variance) for name, part in parts.items()})


def _missing(entry: object) -> bool:
    return entry is None or (isinstance(entry, float) and math.isnan(entry))


def _ends(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def _with_p_value(mean: Estimate, parts: Mapping[str, _Part]) -> Estimate:
    stderr, freedom = _total(parts)
    p_value = 2 * t_probability(-abs(mean.value) / stderr, freedom) if stderr else float(mean.value == 0)
    return replace(mean, p_value=p_value)


def _paired(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    a, b = _table(first), _table(second)
    if a.shape != b.shape:
        raise NasError(f"values of {a.shape} and {b.shape} seeds and tasks cannot be paired")
    return a - b


def _table(values: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    if len({len(row) for row in values}) != 1 or len(values[0]) < 2:
        raise NasError("an interval needs at least two tasks, the same for every seed")
    return np.array(values, dtype=np.float64)
