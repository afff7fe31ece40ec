"""Summary of a run: its trials, its best candidates, its final result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
class RunSummary:
    """Everything that is known of a run.

    Attributes:
        name: The run's name.
        state: 'running', 'done', 'interrupted' or 'failed'.
        config: The config that it was started with, as JSON values.
        search: Its search.
        control: Its random-search control's search; None for a run without one.
        final: Its final result; None for a run that is not done.
    """

    name: str
    state: str
    config: Mapping[str, Any]
    search: SearchSummary
    control: SearchSummary | None = None
    final: FinalResult | None = None

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
        """The document that `nas show --json` prints."""
        leader, front = self.best, self.front
        search = self.search.to_json()
        return {
            "name": self.name,
            "state": self.state,
            "config": dict(self.config),
            "trials": search["trials"],
            "best": None if leader is None else leader.number,
            "repeats": self.search.num_duplicates,
            "outer_steps": self.search.outer_steps,
            "front": None if front is None else front.to_json(),
            "final": None if self.final is None else self.final.to_json(),
            "control": None if self.control is None else self.control.to_json(),
            "mixed": search["mixed"],
        }
