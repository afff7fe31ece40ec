"""Summary of a run: its trials, its best candidates, its final result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..architecture import Architecture
from ..trial import Trial, without_duplicates
from .final_result import FinalResult
from .mixed_protocols import MixedScores
from .pareto_front import Front, front_of, objectives_of
from .ranking import best, steps_spent


@dataclass(frozen=True)
class SearchSummary:
    """Trials of one search, of a run or of its random-search control.

    Attributes:
        trials: All trials in the order of proposal.
        mixed: Scores that cannot be ranked together; empty for a sound store.
    """

    trials: Sequence[Trial]
    mixed: Sequence[MixedScores] = ()

    @property
    def num_duplicates(self) -> int:
        """Number of trials of a network that was proposed before."""
        return len(self.trials) - len(without_duplicates(self.trials))

    @property
    def outer_steps(self) -> int:
        """Outer steps of meta-training that the scored trials took."""
        return steps_spent(self.trials)

    def to_json(self) -> dict[str, Any]:
        return {
            "trials": [trial.to_json() for trial in self.trials],
            "mixed": [entry.to_json() for entry in self.mixed],
        }


@dataclass(frozen=True)
class TakenOptions:
    """Options that architectures took.

    Attributes:
        by_key: By an architecture's key, the options by choice, as JSON values.
        problem: Why the options of some architectures are not known; None where all are.
    """

    by_key: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str | None = None

    def of(self, architecture: Architecture) -> Mapping[str, Any] | None:
        """The options of an architecture; None where they are not known."""
        return self.by_key.get(architecture.key)

    def added(self, data: Any) -> Any:
        """JSON values in which each object with an architecture has its 'options' beside it, None where not known.

        Unchanged where no options were looked up.
        """
        if not self.by_key and self.problem is None:
            return data
        if isinstance(data, list):
            return [self.added(entry) for entry in data] if data and isinstance(data[0], dict) else data
        if not isinstance(data, dict):
            return data
        found = {key: entry if key == "score" else self.added(entry) for key, entry in data.items()}
        if "architecture" in data and "key" in data:
            options = self.by_key.get(data["key"])
            found["options"] = None if options is None else dict(options)
        return found


@dataclass(frozen=True)
class RunSummary:
    """Everything that is known of a run.

    Attributes:
        name: The run's name.
        state: 'running', 'done', 'interrupted' or 'failed'.
        config: The config that it was started with, as JSON values.
        search: Its search.
        control: Its random-search control's search; None for a run without one.
        final: Its final result; None for a run that is not done.
        options: The options that its architectures took, as far as they were asked for.
    """

    name: str
    state: str
    config: Mapping[str, Any]
    search: SearchSummary
    control: SearchSummary | None = None
    final: FinalResult | None = None
    options: TakenOptions = field(default_factory=TakenOptions)

    @property
    def trials(self) -> Sequence[Trial]:
        """The trials of the run's search in the order of proposal."""
        return self.search.trials

    @property
    def best(self) -> Trial | None:
        """The best trial of the search; None where none has a score."""
        return next(iter(best(self.trials)), None)

    @property
    def front(self) -> Front | None:
        """The Pareto front of the search; None where no score has all of its costs."""
        return front_of(self.trials, objectives_of(self.config))

    def to_json(self) -> dict[str, Any]:
        """The document that `nas show --json` prints.

        Each trial and each measured network has its 'options', by choice: None for networks of other spaces, and where
        they are not known.
        """
        leader, front = self.best, self.front
        search = self.search.to_json()
        return {
            "name": self.name,
            "state": self.state,
            "config": dict(self.config),
            "trials": self.options.added(search["trials"]),
            "best": None if leader is None else leader.number,
            "repeats": self.search.num_duplicates,
            "outer_steps": self.search.outer_steps,
            "front": None if front is None else front.to_json(),
            "final": None if self.final is None else self.options.added(self.final.to_json()),
            "control": None if self.control is None else self.options.added(self.control.to_json()),
            "mixed": search["mixed"],
        }
