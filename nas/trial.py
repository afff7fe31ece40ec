"""Scores and trials: frozen values with a JSON round trip."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .architecture import Architecture
from .errors import NasError

Duplicates = Literal["known", "evaluated"]
"""What becomes of a network that is proposed again: its result is known, or it is evaluated as if it were new."""


def without_duplicates(trials: Iterable[Trial]) -> list[Trial]:
    """The trials that are not repeats of others."""
    return [trial for trial in trials if trial.duplicate_of is None]


State = Literal["pending", "done", "failed"]


@dataclass(frozen=True)
class Score:
    """How well a candidate adapts to new tasks. Higher is better.

    value       mean over the bank's tasks, after the last inner step (accuracy in [0, 1], or minus the squared error)
    stderr      standard error of `value` over tasks
    curve       the same mean after 0, 1, …, k inner steps
    per_task    one value a task after the last step, in the order of the bank, so that candidates can be paired
    metrics     what else was measured: parameters, flops (of one input), seconds, …
    protocol    what made the number: two scores are comparable only where their protocols are equal
    per_class   (class, queries right, queries asked) over all tasks of the bank, for each class in it; empty where
                tasks have no classes, and in a search, whose stored scores stay small
    per_unit    (task, unit, queries right, queries asked) for each unit of classes in each task, sorted; a unit is
                what a new problem has other ones of, all rotations of a character or an alphabet. Empty as `per_class`
    units       what these units are, in the plural
    provenance  where the number comes from: seed, device, versions. Not compared: scores of several seeds are what an
                interval is made of, and a device or a version moves the rounding, not what is measured
    """

    value: float
    stderr: float
    curve: tuple[float, ...] = ()
    per_task: tuple[float, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    per_class: tuple[tuple[int, int, int], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    per_unit: tuple[tuple[int, int, int, int], ...] = ()
    units: str = "classes"

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "stderr": self.stderr,
            "curve": list(self.curve),
            "per_task": list(self.per_task),
            "metrics": dict(self.metrics),
            "protocol": dict(self.protocol),
            "per_class": [list(row) for row in self.per_class],
            "provenance": dict(self.provenance),
            "per_unit": [list(row) for row in self.per_unit],
            "units": self.units,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Score:
        """Reads what `to_json` wrote, also before it wrote `per_class`, `provenance` and `per_unit`."""
        return Score(
            value=float(data["value"]),
            stderr=float(data["stderr"]),
            curve=tuple(map(float, data["curve"])),
            per_task=tuple(map(float, data["per_task"])),
            metrics=dict(data["metrics"]),
            protocol=dict(data["protocol"]),
            per_class=tuple((int(c), int(right), int(asked)) for c, right, asked in data.get("per_class", ())),
            provenance=dict(data.get("provenance", {})),
            per_unit=tuple((int(t), int(u), int(right), int(asked)) for t, u, right, asked in data.get("per_unit", ())),
            units=str(data.get("units", "classes")),
        )

    def checked(self) -> Score:
        """This score, or a NasError where its value is not a number to rank by."""
        if not math.isfinite(self.value):
            raise NasError(f"the score is {self.value}; it must be a finite number")
        return self


@dataclass(frozen=True)
class Trial:
    """One candidate of a search, from proposal to result.

    number   its place in the order of proposal, from 0
    state    'pending', 'done' (then `score` is set) or 'failed' (then `error` says why)
    budget   outer steps of meta-training
    seed     the seed its evaluation used
    repeats  the number of the earlier trial of the same network, whose result this one has without an evaluation; None
             for the first of its network
    """

    number: int
    architecture: Architecture
    budget: int
    seed: int
    state: State = "pending"
    score: Score | None = None
    error: str | None = None
    seconds: float | None = None
    duplicate_of: int | None = None

    @property
    def value(self) -> float:
        """The score's value; minus infinity for a trial without one, so that it never ranks as best."""
        return self.score.value if self.score is not None else -math.inf

    @property
    def stderr(self) -> float:
        """The standard error of the score's value; infinite for a trial without one."""
        return self.score.stderr if self.score is not None else math.inf

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "architecture": self.architecture.to_json(),
            "key": self.architecture.key,
            "state": self.state,
            "budget": self.budget,
            "seed": self.seed,
            "score": None if self.score is None else self.score.to_json(),
            "seconds": self.seconds,
            "error": self.error,
            "repeats": self.duplicate_of,
        }
