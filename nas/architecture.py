"""The values a search is made of: an architecture, the score it got, and the trial that ties the two."""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from .errors import NasError, SpaceError

State = Literal["pending", "done", "failed"]


@dataclass(frozen=True)
class Architecture:
    """One point of a search space: for each choice made, the index of the option taken.

    `space` is the space's name, `picks` maps choice names to indices in `[0, options)`. Nothing else is kept:
    `nas.space.replay` turns it back into the space's own description of a network.
    """

    space: str
    picks: Mapping[str, int]

    def __post_init__(self) -> None:
        picks = dict(self.picks)
        for name, index in picks.items():
            if type(index) is not int:  # such as numpy's, which JSON does not know
                picks[name] = int(operator.index(index))
        object.__setattr__(self, "picks", MappingProxyType(picks))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Kept: controllers look an architecture up in sets some ten times.
        return hash((self.space, frozenset(self.picks.items())))

    def __reduce__(self) -> tuple[type[Architecture], tuple[str, dict[str, int]]]:
        return Architecture, (self.space, dict(self.picks))

    @property
    def key(self) -> str:
        """A stable digest of 16 hexadecimal digits; the order of the picks does not matter."""
        text = json.dumps([self.space, sorted(self.picks.items())], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        return {"space": self.space, "picks": dict(self.picks)}

    @staticmethod
    def from_json(data: object) -> Architecture:
        """Reads what `to_json` wrote. Raises SpaceError, naming the entry, for anything else."""
        if not isinstance(data, dict) or not isinstance(data.get("space"), str):
            raise SpaceError("an architecture is an object with 'space' (a name) and 'picks' (choice name -> index)")
        picks = data.get("picks")
        if not isinstance(picks, dict):
            raise SpaceError("an architecture's 'picks' must map choice names to indices")
        for name, index in picks.items():
            if type(name) is not str:
                raise SpaceError(f"a pick is named {name!r}; the name of a choice must be a text")
            if type(index) is not int or index < 0:
                raise SpaceError(f"pick {name!r} is {index!r}; it must be an index, a whole number from 0")
        return Architecture(data["space"], picks)


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
    repeats: int | None = None

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
            "repeats": self.repeats,
        }
