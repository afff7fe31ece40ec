"""The trials of a search that is quick enough to be begun again: in memory, and lost with the process."""

from __future__ import annotations

from collections.abc import Sequence

from ..analysis.protocol_check import check_trial
from ..architecture import Architecture
from ..errors import StoreError
from ..protocols import Controller
from ..trial import Trial


class MemoryStore:
    """What `nas.store.Store` keeps of a search's trials, without a file."""

    def __init__(self) -> None:
        self._trials: list[Trial] = []
        self._promoted: set[int] = set()
        self._first: dict[int, Trial] = {}

    def trials(self) -> list[Trial]:
        """All trials by number."""
        return list(self._trials)

    def pending(self) -> list[Trial]:
        """The trials without a result, by number."""
        return [trial for trial in self._trials if trial.state == "pending"]

    def promoted(self) -> set[int]:
        """The numbers of the trials that are promotions."""
        return set(self._promoted)

    def propose(self, architectures: Sequence[Architecture], budget: int, seed: int) -> list[Trial]:
        """Keeps pending trials, numbered on from the last, and returns them."""
        first = len(self._trials)
        new = [Trial(first + i, architecture, budget, seed) for i, architecture in enumerate(architectures)]
        self._trials += new
        return new

    def propose_duplicate(self, architecture: Architecture, first: Trial) -> Trial:
        """Keeps a pending trial of an architecture that is the network of the trial `first`, and returns it."""
        trial = Trial(len(self._trials), architecture, first.budget, first.seed, duplicate_of=first.number)
        self._trials.append(trial)
        return trial

    def promote(self, trial: Trial, budget: int) -> Trial:
        """Keeps a pending trial of a trial's architecture and seed with another budget, and returns it."""
        [promoted] = self.propose([trial.architecture], budget, trial.seed)
        self._promoted.add(promoted.number)
        return promoted

    def finish(self, trial: Trial) -> bool:
        """Keeps a pending trial's result and returns True; where it has one, that stands and False is returned.

        Raises ProtocolError for a score of another protocol than those of the same budget."""
        pending = self._trials[trial.number].state == "pending"
        if pending:
            if trial.score is not None:
                check_trial(self._first.setdefault(trial.budget, trial), trial)
            self._trials[trial.number] = trial
        return pending

    def replay(self, controller: Controller) -> None:
        """Brings a fresh controller to where a search's was, which is where it is: raises StoreError if one began."""
        if self._trials:
            raise StoreError("a search in memory cannot be continued; begin it again, or keep it in a Store")
