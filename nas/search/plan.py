"""Order of a search's trials: pending ones, promotions, new proposals."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import takewhile
from typing import Literal

from ..protocols.controllers import Trials
from ..protocols.spaces import SearchSpace
from ..space.identity import network_key
from ..trial import Trial, without_duplicates
from .checked_controller import CheckedController
from .options import SearchOptions
from .proposal import Proposal
from .time_budget import TimeBudget

End = Literal["done", "exhausted", "interrupted"]
"""How a search ended. 'done': all trials are finished or the time budget is used up. 'exhausted': the controller
proposes no more, or only duplicates. 'interrupted': `stop` returned True, or the executor was killed."""
MAX_PENDING_DUPLICATES = 20
"""Maximum number of pending duplicates before the controller is asked again."""


class Plan:
    """Trials to evaluate next. Store, controller and time budget hear of every trial here, in this order.

    Args:
        space: The search space.
        controller: The controller, in the state in which the store's controller was.
        store: Where trials are kept.
        options: Size, budgets and limits of the search.
        time_budget: Time budget of the search.
        quick: Whether an evaluation takes less time than to store its proposal, which is then stored with its result.
    """

    def __init__(
        self,
        space: SearchSpace,
        controller: CheckedController,
        store: Trials,
        options: SearchOptions,
        time_budget: TimeBudget,
        *,
        quick: bool = False,
    ) -> None:
        self._quick = quick
        self._controller, self._store, self._options, self._time_budget = controller, store, options, time_budget
        trials = store.trials()
        self._lowest = options.fidelity.budgets(options.budget)[0]
        self._promoted = store.promoted()
        self._ready = deque(without_duplicates(store.pending()))
        self._pending_duplicates = [trial for trial in store.pending() if trial.duplicate_of is not None]
        proposed = [trial for trial in trials if trial.number not in self._promoted]
        new = without_duplicates(proposed)
        self._trials_left = options.trials - len(new)
        self._first_of_network: dict[str, int] = {}
        """By network key, the number of the trial whose result its duplicates get."""
        # The first trial of each network, or the retry of one that failed.
        firsts = sorted(without_duplicates(trials), key=lambda trial: trial.state == "failed")
        for trial in firsts if options.duplicates == "known" and self._trials_left > 0 else []:
            # Trials of another budget or seed are of a search that this one continues; their scores do not hold here.
            if (trial.budget, trial.seed) == (self._lowest, options.seed):
                self._first_of_network.setdefault(network_key(space, trial.architecture), trial.number)
        self._duplicates_in_a_row = len(list(takewhile(lambda t: t.duplicate_of is not None, reversed(proposed))))
        self._out_of_proposals = False
        """Whether the controller proposed fewer than it was asked for, and no result has come in since."""
        self._out_of_time = False
        self._running_s = 0.0
        shared = {*self._first_of_network.values(), *(trial.duplicate_of for trial in self._pending_duplicates)}
        self._firsts = {trial.number: trial for trial in trials if trial.number in shared}
        """The trials whose results duplicates get, by number; no other trial is kept."""
        self._rungs = options.fidelity.on_rungs(options.budget)
        for trial in trials:
            self._noted(trial)

    def take(self, room: int, running_s: float) -> list[Trial]:
        """Trials to evaluate now: pending ones, then promotions, then new proposals.

        Args:
            room: Free workers; at most so many trials are returned.
            running_s: Seconds that the running trials have taken so far, in all.
        """
        self._running_s = running_s
        taken = [self._ready.popleft() for _ in range(min(room, len(self._ready)))]
        while len(taken) < room and (promotion := self._promotion()):
            promoted = self._store.promote(*promotion)
            self._promoted.add(promoted.number)
            taken.append(self._noted(promoted))
        while (wanted := self._wanted(room - len(taken))) > 0:
            proposals = self._controller.propose(wanted, keyed=self._options.duplicates == "known")
            self._out_of_proposals = len(proposals) < wanted
            for proposal in proposals:
                trial = self._stored(proposal)
                if self._out_of_time:
                    break  # The proposals after it are not stored, so that a resumed search asks for them again.
                taken += without_duplicates([trial] if trial else [])
        return taken

    def ended_duplicates(self) -> list[Trial]:
        """The pending duplicates whose network's first trial has ended, each with its result. Each is returned once."""
        pending = [(t, self._firsts[t.duplicate_of]) for t in self._pending_duplicates if t.duplicate_of is not None]
        self._pending_duplicates = [trial for trial, first in pending if first.state == "pending"]
        return [
            replace(trial, state=first.state, score=first.score, error=first.error, seconds=0.0)
            for trial, first in pending
            if first.state != "pending"
        ]

    def put_back(self, trial: Trial) -> None:
        """Returns a trial whose evaluation was cancelled, so that it stays pending."""
        self._ready.append(trial)

    def finish(self, trial: Trial) -> None:
        """Stores a trial that ended, and tells the controller if it proposed it."""
        self._store.finish(trial)
        if trial.number not in self._promoted:
            self._controller.tell([trial])
        self._noted(trial)
        self._out_of_proposals = False

    def end(self, *, stopped: bool) -> End:
        """How the search ended; `stopped` says whether it was stopped from outside."""
        missing = self._trials_left > 0 and not self._out_of_time
        if self._ready or (stopped and (missing or self._promotion())):
            return "interrupted"
        return "exhausted" if missing else "done"

    def _wanted(self, room: int) -> int:
        """Number of architectures to ask for now: 0 while the controller has not been told of all known results."""
        if self._out_of_proposals or self._out_of_time:
            return 0
        if self._duplicates_in_a_row >= self._options.max_duplicates_in_a_row:
            return 0
        duplicates = self._pending_duplicates
        states = {self._firsts[t.duplicate_of].state for t in duplicates if t.duplicate_of is not None}
        if states & {"done", "failed"} or len(duplicates) >= MAX_PENDING_DUPLICATES:
            return 0
        return min(room, self._trials_left)

    def _stored(self, proposal: Proposal) -> Trial | None:
        """Stores a proposal as a pending trial, or as a duplicate; None where there is no time left to evaluate it."""
        architecture, network = proposal.architecture, proposal.network
        if network is not None and network in self._first_of_network:
            first = self._firsts[self._first_of_network[network]]
            duplicate = self._noted(self._store.propose_duplicate(architecture, first, later=self._quick))
            self._pending_duplicates.append(duplicate)
            self._duplicates_in_a_row += 1
            return duplicate
        if not self._time_budget.allows(architecture, self._lowest, self._running_s):
            self._out_of_time = True
            return None
        [trial] = self._store.propose([architecture], self._lowest, self._options.seed, later=self._quick)
        if network is not None:
            self._first_of_network[network] = trial.number
            self._firsts[trial.number] = trial
        self._trials_left -= 1
        self._duplicates_in_a_row = 0
        return self._noted(trial)

    def _promotion(self) -> tuple[Trial, int] | None:
        """The next promotion and its budget; None where there is none, or no time for it."""
        promotion = self._rungs.promotion()
        if promotion is None:
            return None
        trial, budget = promotion
        return promotion if self._time_budget.allows(trial.architecture, budget, self._running_s) else None

    def _noted(self, trial: Trial) -> Trial:
        if trial.number in self._firsts:
            self._firsts[trial.number] = trial
        self._rungs.note(trial)
        self._time_budget.charge(trial)
        return trial
