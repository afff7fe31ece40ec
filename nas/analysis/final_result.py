"""Final result of a run: the measured networks, their differences, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..architecture import Architecture
from ..trial import Trial
from .attribution import Attribution
from .intervals import TASKS, Estimate
from .ranking import Anytime
from .units import task_unit

TABLE = "table"
"""Kind of the result of a search whose evaluator makes no networks, only a table or scores."""
UNKNOWN = Architecture("", {})
"""Architecture of an entry that was stored without one."""


@dataclass(frozen=True)
class Measured:
    """Result of one architecture: measured again with several seeds, or reported by a table.

    Attributes:
        architecture: The measured architecture.
        estimate: Its mean over seeds and tasks with the interval; of a table the reported value alone.
        name: The controller's name of the random-search control, the space's of the baseline; else None.
        number: Trial in which the search proposed it; None for the baseline.
        search_value: Score of that trial.
        weights_seed: Seed of the winner's weights to export: the best on the fresh validation tasks.
        budget: Budget of the trial, for the result of a table; None for measured networks.
        seeds: One value a seed.
        curve: Mean score after 0, 1, …, k inner steps.
        parameters: Number of parameters; None where it is not known.
        flops: Floating-point operations for one input; None where they are not known.
        flops_uncounted: Number of operations that `flops` lacks.
        protocol: Protocol of the scores.
        provenance: One entry a seed: seed, device, versions.
        difference: By how much the search's winner is better, paired; None for entries that are not compared with it.
    """

    architecture: Architecture
    estimate: Estimate
    name: str | None = None
    number: int | None = None
    search_value: float | None = None
    weights_seed: int | None = None
    budget: int | None = None
    seeds: tuple[float, ...] = ()
    curve: tuple[float, ...] = ()
    parameters: float | None = None
    flops: float | None = None
    flops_uncounted: float = 0.0
    protocol: Mapping[str, Any] = field(default_factory=dict)
    provenance: tuple[Mapping[str, Any], ...] = ()
    difference: Estimate | None = None

    @property
    def value(self) -> float:
        """The mean over seeds and tasks, or the reported value."""
        return self.estimate.value

    @property
    def key(self) -> str:
        """The architecture's key; empty for an entry that was stored without an architecture."""
        return "" if self.architecture == UNKNOWN else self.architecture.key

    @property
    def costs(self) -> dict[str, float]:
        """Its known costs, by the names of a score's metrics."""
        costs = {"parameters": self.parameters, "flops": self.flops, "flops_uncounted": self.flops_uncounted}
        return {name: cost for name, cost in costs.items() if cost is not None}

    def of_trial(self, trial: Trial) -> Measured:
        """This entry with the number and the score of the trial that its architecture comes from."""
        return replace(self, number=trial.number, search_value=trial.value)

    def to_json(self) -> dict[str, Any]:
        """The entry as JSON values; `from_json` reads it back."""
        origin = {
            "name": self.name,
            "number": self.number,
            "search_value": self.search_value,
            "weights_seed": self.weights_seed,
        }
        data = {
            **{key: value for key, value in origin.items() if value is not None},
            "key": self.key,
            "architecture": self.architecture.to_json(),
            **self.estimate.to_json(),
        }
        if self.budget is not None:
            data |= {"budget": self.budget, "protocol": dict(self.protocol)}
        else:
            data |= {
                "seeds": list(self.seeds),
                "curve": list(self.curve),
                "parameters": self.parameters,
                "flops": self.flops,
                "flops_uncounted": self.flops_uncounted,
                "protocol": dict(self.protocol),
                "provenance": [dict(entry) for entry in self.provenance],
            }
        return data if self.difference is None else {**data, "difference": self.difference.to_json()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Measured:
        """Reads what `to_json` wrote, also entries of earlier versions, which lack some keys."""
        architecture, difference = data.get("architecture"), data.get("difference")
        return Measured(
            architecture=UNKNOWN if architecture is None else Architecture.from_json(architecture),
            estimate=Estimate.from_json(data),
            name=data.get("name"),
            number=data.get("number"),
            search_value=data.get("search_value"),
            weights_seed=data.get("weights_seed"),
            budget=data.get("budget"),
            seeds=tuple(data.get("seeds", ())),
            curve=tuple(data.get("curve", ())),
            parameters=data.get("parameters"),
            flops=data.get("flops"),
            flops_uncounted=data.get("flops_uncounted", 0.0),
            protocol=dict(data.get("protocol", {})),
            provenance=tuple(dict(entry) for entry in data.get("provenance", ())),
            difference=None if difference is None else Estimate.from_json(difference),
        )


@dataclass(frozen=True)
class Failure:
    """Final measurement that failed: its key in the store, and the error in one line."""

    measurement: str
    error: str

    def to_json(self) -> dict[str, str]:
        return {"measurement": self.measurement, "error": self.error}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Failure:
        return Failure(data["measurement"], data["error"])


@dataclass(frozen=True)
class ControlResult:
    """Result of a run's random-search control.

    Attributes:
        name: Its controller's name.
        best: Its best candidate, with the difference from the search's winner; None where the control failed.
        error: Why it failed; None where it did not.
        finalists: Its finalists, best first; None for the control of a table.
        failures: Its measurements that failed; None likewise.
        anytime: The best score so far of both searches, by the names of their controllers; None where it was not
            stored.
    """

    name: str
    best: Measured | None = None
    error: str | None = None
    finalists: tuple[Measured, ...] | None = None
    failures: tuple[Failure, ...] | None = None
    anytime: Mapping[str, Anytime] | None = None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"name": self.name}
        if self.error is not None:
            data["error"] = self.error
        elif self.best is not None:
            data |= {"difference": None, **self.best.to_json()}
            data["difference"] = data.pop("difference")  # the last of the keys, also where there is none
        if self.finalists is not None:
            data["finalists"] = [entry.to_json() for entry in self.finalists]
        if self.failures is not None:
            data["failures"] = [failure.to_json() for failure in self.failures]
        if self.anytime is not None:
            data["anytime"] = {name: [list(point) for point in curve] for name, curve in self.anytime.items()}
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ControlResult:
        error, finalists, failures, anytime = (data.get(key) for key in ("error", "finalists", "failures", "anytime"))
        return ControlResult(
            name=data.get("name", ""),
            best=None if error is not None else Measured.from_json(data),
            error=error,
            finalists=None if finalists is None else _entries(finalists),
            failures=None if failures is None else _failures(failures),
            anytime=None if anytime is None else {name: _curve(points) for name, points in anytime.items()},
        )


@dataclass(frozen=True)
class FinalResult:
    """Final result of a run.

    Attributes:
        kind: 'classification' (values are accuracies), 'regression', or `TABLE`.
        tasks: Number of test tasks; None for a table.
        finalists: The best candidates on fresh validation tasks, the winner first; empty for a table.
        median: The search's median candidate on the same tasks; None where it failed.
        winner: The winner on the test tasks; None where its test failed.
        baseline: The baseline network on the test tasks; None where its test failed.
        difference: By how much the winner is better than the baseline, paired by seed and task.
        control: Result of the random-search control; None for a run without one.
        warning: What a report must say where the numbers rest on too little; else None.
        failures: The measurements that failed.
        attribution: What each part of a winning recipe contributed; None for other winners.
    """

    kind: str
    tasks: int | None = None
    finalists: tuple[Measured, ...] = ()
    median: Measured | None = None
    winner: Measured | None = None
    baseline: Measured | None = None
    difference: Estimate | None = None
    control: ControlResult | None = None
    warning: str | None = None
    failures: tuple[Failure, ...] = ()
    attribution: Attribution | None = None

    @property
    def percent(self) -> bool:
        """Whether the values are accuracies in [0, 1], which reports show as percentages."""
        return self.kind == "classification"

    @property
    def unit(self) -> str:
        """What the values are means over: 'tasks', or 'examples' of one data set."""
        entries = (*self.tested.values(), *self.finalists)
        return task_unit(entries[0].protocol) if entries else TASKS

    @property
    def tested(self) -> dict[str, Measured]:
        """The entries on the test tasks by their roles: 'winner', 'baseline', 'control', as far as there are such."""
        control = None if self.control is None else self.control.best
        entries = {"winner": self.winner, "baseline": self.baseline, "control": control}
        return {role: entry for role, entry in entries.items() if entry is not None}

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values, as the store keeps it under 'final'; `from_json` reads it back."""
        return {
            "kind": self.kind,
            **({} if self.tasks is None else {"tasks": self.tasks}),
            "finalists": [entry.to_json() for entry in self.finalists],
            "median": None if self.median is None else self.median.to_json(),
            "winner": None if self.winner is None else self.winner.to_json(),
            "baseline": None if self.baseline is None else self.baseline.to_json(),
            "difference": None if self.difference is None else self.difference.to_json(),
            "control": None if self.control is None else self.control.to_json(),
            "warning": self.warning,
            "failures": [failure.to_json() for failure in self.failures],
            **({} if self.attribution is None else {"attribution": self.attribution.to_json()}),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> FinalResult:
        """Reads what `to_json` wrote, also results of earlier versions, which lack some keys."""
        median, winner, baseline = (_entry(data.get(key)) for key in ("median", "winner", "baseline"))
        difference, control, attribution = (data.get(key) for key in ("difference", "control", "attribution"))
        return FinalResult(
            kind=data.get("kind", ""),
            tasks=data.get("tasks"),
            finalists=_entries(data.get("finalists") or ()),
            median=median,
            winner=winner,
            baseline=baseline,
            difference=Estimate.from_json(difference) if difference else None,
            control=ControlResult.from_json(control) if control else None,
            warning=data.get("warning"),
            failures=_failures(data.get("failures") or ()),
            attribution=Attribution.from_json(attribution) if attribution else None,
        )


def _entry(data: Mapping[str, Any] | None) -> Measured | None:
    return Measured.from_json(data) if data else None


def _entries(data: Sequence[Mapping[str, Any]]) -> tuple[Measured, ...]:
    return tuple(Measured.from_json(entry) for entry in data)


def _failures(data: Sequence[Mapping[str, Any]]) -> tuple[Failure, ...]:
    return tuple(Failure.from_json(entry) for entry in data)


def _curve(points: Sequence[Sequence[float]]) -> Anytime:
    return tuple((float(count), float(score)) for count, score in points)
