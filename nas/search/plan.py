"""Order of a search's trials: pending ones, promotions, new proposals."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import takewhile
from typing import Literal

from ..architecture import Architecture
from ..protocols import Controller, SearchSpace, Trials
from ..space.identity import network_key
from ..trial import Duplicates, Trial, without_duplicates
from .fidelity import Fidelity
from .time_budget import TimeBudget

End = Literal["done", "exhausted", "interrupted"]
"""All trials are finished or the seconds are spent; or the controller proposes no more, or nothing new; or `stop` said
so, or the executor was killed."""
MAX_PENDING_DUPLICATES = 20
"""Repeats of what is being evaluated; a controller that has so many is not asked again before it hears of one."""


class Plan:
    """What is to be evaluated next; through it store and controller hear of every trial, in this order."""

    def __init__(
        self,
        space: SearchSpace,
        controller: Controller,
        store: Trials,
        fidelity: Fidelity,
        trials: int,
        budget: int,
        seed: int,
        max_duplicates: int,
        duplicates: Duplicates,
        time_budget: TimeBudget,
    ) -> None:
        self._space, self._controller, self._store = space, controller, store
        self._fidelity, self._budget, self._seed = fidelity, budget, seed
        self._known = {trial.number: trial for trial in store.trials()}
        self._lowest = fidelity.budgets(budget)[0]
        self._promoted = store.promoted()
        self._waiting = deque(without_duplicates(store.pending()))
        self._duplicates = [trial for trial in store.pending() if trial.duplicate_of is not None]
        asked = [trial for trial in self._known.values() if trial.number not in self._promoted]
        new = without_duplicates(asked)
        self._missing = trials - len(new)
        self._keyed = duplicates == "known"
        # By network, the number of its first trial.
        self._first: dict[str, int] = {}
        for trial in new if self._keyed and self._missing > 0 else []:
            # Others are of a search with another budget or seed that went on here: their scores are not this one's.
            if (trial.budget, trial.seed) == (self._lowest, seed):
                self._first.setdefault(network_key(space, trial.architecture), trial.number)
        self._duplicates_left = max_duplicates - sum(
            1 for _ in takewhile(lambda t: t.duplicate_of is not None, reversed(asked))
        )
        self._max_duplicates = max_duplicates
        self._dry = False
        self._time_budget, self._running_s, self._spent = time_budget, 0.0, False
        for trial in self._known.values():
            time_budget.note(trial)

    def take(self, room: int, running_s: float) -> list[Trial]:
        """At most `room` pending trials: those that waited, else promotions, else what the controller is asked for.

        `running_s` is the time so far of what is running."""
        self._running_s = running_s
        taken = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        while len(taken) < room and (found := self._promotion()):
            promoted = self._store.promote(*found)
            self._promoted.add(promoted.number)
            taken += self._noted([promoted])
        while (wanted := self._wanted(room - len(taken))) > 0:
            asked = self._controller.ask(wanted)
            keys = [network_key(self._space, architecture) if self._keyed else None for architecture in asked]
            self._dry = len(asked) < wanted  # until a result comes in
            for architecture, key in zip(asked, keys, strict=True):
                if self._spent:
                    break  # what follows was not asked for, as a resumed search will see it
                taken += self._proposed(architecture, key)
        return taken

    def answers(self) -> list[Trial]:
        """The repeats of what has ended, each with its result; they are not given again."""
        results = [
            (trial, self._known[trial.duplicate_of]) for trial in self._duplicates if trial.duplicate_of is not None
        ]
        self._duplicates = [trial for trial, first in results if first.state == "pending"]
        return [
            replace(trial, state=first.state, score=first.score, error=first.error, seconds=0.0)
            for trial, first in results
            if first.state != "pending"
        ]

    def put_back(self, trial: Trial) -> None:
        self._waiting.append(trial)

    def finish(self, trial: Trial) -> None:
        self._store.finish(trial)
        if trial.number not in self._promoted:
            self._controller.tell([trial])
        self._noted([trial])
        self._dry = False

    def end(self, stopped: bool) -> End:
        missing = self._missing > 0 and not self._spent
        if self._waiting or (stopped and (missing or self._promotion())):
            return "interrupted"
        return "exhausted" if missing else "done"

    def _wanted(self, room: int) -> int:
        """How many to ask for now: none before the controller has heard all that is known."""
        waiting = {
            self._known[trial.duplicate_of].state for trial in self._duplicates if trial.duplicate_of is not None
        }
        first_told = "done" in waiting or "failed" in waiting or len(self._duplicates) >= MAX_PENDING_DUPLICATES
        resting = self._dry or self._spent or first_told
        return 0 if resting or self._duplicates_left <= 0 else min(room, self._missing)

    def _proposed(self, architecture: Architecture, key: str | None) -> list[Trial]:
        """Stores a proposal: the trial to evaluate, or none where its network, named by `key`, was proposed before."""
        if key is not None and key in self._first:
            self._duplicates += self._noted(
                [self._store.propose_duplicate(architecture, self._known[self._first[key]])]
            )
            self._duplicates_left -= 1
            return []
        if not self._time_budget.holds(architecture, self._lowest, self._running_s):
            self._spent = True
            return []
        new = self._noted(self._store.propose([architecture], self._lowest, self._seed))
        if key is not None:
            self._first[key] = new[0].number
        self._missing -= 1
        self._duplicates_left = self._max_duplicates
        return new

    def _promotion(self) -> tuple[Trial, int] | None:
        found = self._fidelity.promotion(self._known.values(), self._budget)
        fits = found is not None and self._time_budget.holds(found[0].architecture, found[1], self._running_s)
        return found if fits else None

    def _noted(self, trials: list[Trial]) -> list[Trial]:
        for trial in trials:
            self._known[trial.number] = trial
            self._time_budget.note(trial)
        return trials
