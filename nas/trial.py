"""Scores and trials: frozen values with a JSON round trip."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .architecture import Architecture
from .errors import NasError

Duplicates = Literal["known", "evaluated"]
"""What happens to a network that is proposed again: it gets the known result, or is evaluated as if it were new."""
State = Literal["pending", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Score:
    """How well a candidate adapts to new tasks. Higher is better.

    Attributes:
        value: Mean over the bank's tasks after the last inner step: accuracy in [0, 1], or minus the squared error.
        stderr: Standard error of `value` over tasks.
        curve: The same mean after 0, 1, …, k inner steps.
        per_task: One value a task after the last step, in the order of the bank, so that candidates can be paired.
        metrics: What else was measured, by name: parameters, FLOPs of one input's forward pass, … It also holds
            `cost_s`, `outer_steps` and `tasks_at_once` where they are set, under the names 'seconds', 'outer_steps' and
            'chunk', by which objectives, reports and JSON read them.
        protocol: How the value was made; two scores are comparable only where their protocols are equal.
        per_class: (class, queries right, queries asked) over all tasks of the bank, for each class in it. Empty where
            tasks have no classes, and in a search, whose stored scores stay small.
        provenance: Seed, device and versions. Not part of the protocol: an interval is made of scores of several
            seeds, and devices and versions change the rounding, not what is measured.
        per_unit: (task, unit, queries right, queries asked) for each unit of classes in each task, sorted. A unit is
            what a new problem draws anew, such as all rotations of a character, or an alphabet. Empty as `per_class`.
        units: Name of these units, in the plural.
        cost_s: Seconds of the evaluation, which a simulated time budget counts.
        outer_steps: Outer steps that the evaluation took; None where they are the whole budget.
        tasks_at_once: Tasks that memory allowed at once; None where all tasks of a step fitted.
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
    # The metrics hold these three, so they are neither shown nor compared twice.
    cost_s: float | None = field(default=None, repr=False, compare=False)
    outer_steps: int | None = field(default=None, repr=False, compare=False)
    tasks_at_once: int | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.outer_steps is None and self.tasks_at_once is None and self.cost_s is None:
            return
        typed = {"outer_steps": self.outer_steps, "chunk": self.tasks_at_once, "seconds": self.cost_s}
        known = {name: float(value) for name, value in typed.items() if value is not None}
        object.__setattr__(self, "metrics", {**self.metrics, **known})

    def to_json(self) -> dict[str, Any]:
        """JSON values; `cost_s`, `outer_steps` and `tasks_at_once` are under 'metrics', as they have always been."""
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
        metrics = _mapping(data["metrics"])
        steps, tasks = _number(metrics, "outer_steps"), _number(metrics, "chunk")
        return Score(
            value=float(data["value"]),
            stderr=float(data["stderr"]),
            curve=tuple(map(float, data["curve"])),
            per_task=tuple(map(float, data["per_task"])),
            metrics=metrics,
            protocol=_mapping(data["protocol"]),
            per_class=tuple((int(c), int(right), int(asked)) for c, right, asked in data.get("per_class", ())),
            provenance=_mapping(data.get("provenance", {})),
            per_unit=tuple((int(t), int(u), int(right), int(asked)) for t, u, right, asked in data.get("per_unit", ())),
            units=str(data.get("units", "classes")),
            cost_s=_number(metrics, "seconds"),
            outer_steps=None if steps is None else int(steps),
            tasks_at_once=None if tasks is None else int(tasks),
        )

    def checked(self) -> Score:
        """This score.

        Raises:
            NasError: The value is not a finite number, so that it cannot be ranked.
        """
        if not math.isfinite(self.value):
            raise NasError(f"the score is {self.value}; it must be a finite number")
        return self


def _mapping(value: Any) -> Mapping[str, Any]:
    """A mapping as it is, so that scores can share it; raises TypeError or ValueError for what is none."""
    return value if isinstance(value, dict) else dict(value)


def _number(metrics: Mapping[str, Any], name: str) -> float | None:
    value = metrics.get(name)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of a search, from proposal to result.

    Attributes:
        number: Place in the order of proposal, from 0.
        architecture: The proposed architecture.
        budget: Outer steps of meta-training.
        seed: Seed of its evaluation.
        state: 'pending', 'done' (then `score` is set) or 'failed' (then `error` is set).
        score: The result.
        error: Why it failed, in one line.
        seconds: Seconds that its evaluation took; 0 for a duplicate.
        duplicate_of: Number of the earlier trial of the same network, whose result this one shares without an
            evaluation; None for the first trial of its network.
        retry_of: Number of the failed trial that this one evaluates again; the controller is not told of it. None for
            any other trial.
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
    retry_of: int | None = None

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
            # The key of the first format, which scripts and stored reports read.
            "repeats": self.duplicate_of,
            **({} if self.retry_of is None else {"retry_of": self.retry_of}),
        }


def without_duplicates(trials: Iterable[Trial]) -> list[Trial]:
    """The trials that are not duplicates of others."""
    return [trial for trial in trials if trial.duplicate_of is None]
