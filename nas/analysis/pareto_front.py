"""Pareto front of a search: the candidates that no other beats in score and costs together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError, nearest
from ..trial import Trial
from . import pareto
from .ranking import comparable

DEFAULT_COSTS = ("parameters",)
"""Costs beside the score where the controller has no objectives of its own."""


@dataclass(frozen=True)
class Front:
    """Pareto front of a search, the best score first.

    Attributes:
        costs: The objectives to be small, by the names of the scores' metrics.
        trials: The trials that no other dominates.
        worst: The worst number of all candidates in each objective: the score, then the costs.
        best: The best number likewise.
        hypervolume: The part, in [0, 1], of the box between the two that the front dominates; None where the box has
            no extent.
    """

    costs: tuple[str, ...]
    trials: tuple[Trial, ...]
    worst: tuple[float, ...]
    best: tuple[float, ...]
    hypervolume: float | None

    def to_json(self) -> dict[str, Any]:
        names = ("score", *self.costs)
        return {
            "objectives": list(names),
            "trials": [
                {
                    "number": trial.number,
                    "stderr": trial.score.stderr if trial.score else None,
                    **dict(zip(names, numbers(trial, self.costs), strict=True)),
                }
                for trial in self.trials
            ],
            "reference": dict(zip(names, self.worst, strict=True)),
            "ideal": dict(zip(names, self.best, strict=True)),
            "hypervolume": self.hypervolume,
        }


def objectives_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The costs that the controller of a run's config has as objectives; most controllers have none."""
    names = dict(config.get("controller") or {}).get("objectives") or ()
    return tuple(str(cost) for cost in names) if isinstance(names, list | tuple) else ()


def check_costs(costs: Sequence[str], known: Iterable[str]) -> None:
    """Raises ConfigError for an objective that an evaluator does not measure."""
    measured = set(known)
    for cost in costs:
        if cost not in measured:
            raise ConfigError(f"objectives name {cost!r}, which the evaluator's scores lack: {nearest(cost, measured)}")


def front_of(trials: Sequence[Trial], costs: Sequence[str] = ()) -> Front | None:
    """The front of a search's candidates by score and costs; None where no score has all of them."""
    costs = tuple(costs) or DEFAULT_COSTS
    candidates = [(trial, numbers(trial, costs)) for trial in comparable(trials)]
    measured = [(trial, values) for trial, values in candidates if all(map(math.isfinite, values))]
    if not measured:
        return None
    signs = (1.0, *(-1.0 for _ in costs))
    points = [[sign * value for sign, value in zip(signs, values, strict=True)] for _, values in measured]
    low, high = (tuple(extreme(column) for column in zip(*points, strict=True)) for extreme in (min, max))
    worst, best = (tuple(sign * value for sign, value in zip(signs, ends, strict=True)) for ends in (low, high))
    return Front(
        costs,
        tuple(measured[i][0] for i in pareto.front(points).tolist()),
        worst,
        best,
        _share(points, low, high),
    )


def numbers(trial: Trial, costs: Sequence[str]) -> tuple[float, ...]:
    """A trial's score, then its costs; not a number where one is missing."""
    metrics = trial.score.metrics if trial.score is not None else {}
    return trial.value, *(float(metrics.get(cost, math.nan)) for cost in costs)


def _share(points: Sequence[Sequence[float]], low: Sequence[float], high: Sequence[float]) -> float | None:
    extents = [b / 2 - a / 2 for a, b in zip(low, high, strict=True)]  # Halves of huge numbers do not overflow.
    if not all(extents):
        return None
    within = [[(p / 2 - a / 2) / e for p, a, e in zip(point, low, extents, strict=True)] for point in points]
    return pareto.hypervolume(within, [0.0] * len(extents))
