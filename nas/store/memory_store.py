"""Trials in memory, for searches that are quick enough to be made again."""

from __future__ import annotations

from collections.abc import Sequence

from ..analysis.protocol_check import check_trial
from ..architecture import Architecture
from ..errors import StoreError
from ..protocols.controllers import Controller
from ..trial import Trial


class MemoryStore:
    """The trials of one search, as `nas.store.Store` keeps them, but lost with the process."""

    def __init__(self) -> None:
        self._trials: list[Trial] = []
        self._promoted: set[int] = set()
        self._first_of_budget: dict[int, Trial] = {}

    def trials(self) -> list[Trial]:
        """All trials by number."""
        return list(self._trials)

    def pending(self) -> list[Trial]:
        """All pending trials by number."""
        return [trial for trial in self._trials if trial.state == "pending"]

    def promoted(self) -> set[int]:
        """The numbers of the trials that were promoted."""
        return set(self._promoted)

    def propose(
        self, architectures: Sequence[Architecture], budget: int, seed: int, *, later: bool = False
    ) -> list[Trial]:
        """Adds a pending trial for each architecture and returns them, numbered from the next number on."""
        first = len(self._trials)
        new = [Trial(first + i, architecture, budget, seed) for i, architecture in enumerate(architectures)]
        self._trials += new
        return new

    def propose_duplicate(self, architecture: Architecture, first: Trial, *, later: bool = False) -> Trial:
        """Adds a pending duplicate of the trial `first`, whose network the architecture is, and returns it."""
        trial = Trial(len(self._trials), architecture, first.budget, first.seed, duplicate_of=first.number)
        self._trials.append(trial)
        return trial

    def promote(self, trial: Trial, budget: int) -> Trial:
        """Adds a pending trial of a trial's architecture and seed with another budget, and returns it."""
        [promoted] = self.propose([trial.architecture], budget, trial.seed)
        self._promoted.add(promoted.number)
        return promoted

    def finish(self, trial: Trial) -> bool:
        """Records the result of a pending trial.

        Returns:
            False where the trial was finished before; its first result stands.

        Raises:
            ProtocolError: The score's protocol is not that of the other scores of the same budget.
        """
        pending = self._trials[trial.number].state == "pending"
        if pending:
            if trial.score is not None:
                check_trial(self._first_of_budget.setdefault(trial.budget, trial), trial)
            self._trials[trial.number] = trial
        return pending

    def replay(self, controller: Controller) -> None:
        """Leaves a fresh controller as it is, since a search in memory cannot be continued.

        Raises:
            StoreError: There are trials already.
        """
        if self._trials:
            raise StoreError("a search in memory cannot be continued; begin it again, or keep it in a Store")
