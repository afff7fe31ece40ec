"""The one search loop: ask, evaluate, store, tell. A network that was proposed before is not evaluated again."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from dataclasses import replace
from itertools import takewhile
from typing import Any, Literal

from .architecture import Architecture, Score, Trial
from .errors import NasError, SearchError
from .executors.attempt import attempt, reason
from .fidelity import ONE_RUNG, Fidelity
from .proposals import STORED, Held, Placed
from .protocols import Controller, Evaluator, SearchSpace, Trials
from .purse import Purse
from .repeats import Repeats, evaluated, network_key

End = Literal["done", "exhausted", "interrupted"]
"""All trials are finished or the seconds are spent; or the controller proposes no more, or nothing new; or `stop` said
so, or the executor was killed."""

MOST_WAITING = 20
"""Repeats of what is being evaluated; a controller that has so many is not asked again before it hears of one."""
POLL_S = 0.2
"""How long a search may take to see that it should stop."""


def search(
    *,
    space: SearchSpace,
    controller: Controller,
    evaluator: Evaluator,
    store: Trials,
    executor: Executor,
    trials: int,
    budget: int,
    seed: int,
    workers: int,
    fidelity: Fidelity = ONE_RUNG,
    repeats: Repeats = "known",
    seconds: float = math.inf,
    on_trial: Callable[[Trial], None] = lambda _trial: None,
    stop: Callable[[], bool] = lambda: False,
    max_failures_in_a_row: int = 20,
    max_repeats_in_a_row: int = 200,
    clock: Callable[[], float] = time.monotonic,
) -> End:
    """Fills a store with `trials` finished candidates; a store that has some is continued.

    `controller` is a fresh one: it is brought to where the store's was. `workers` candidates are evaluated at a time,
    all with the same `seed`, so that they are compared on the same tasks and draws (common random numbers). A result is
    stored before the controller is told of it, so the controller never runs ahead of the store; `on_trial` hears of it
    last. A candidate that raises, dies, or has a score with a number that is not finite, is a failed trial with its
    reason. After `stop()` nothing more is begun; what is running is finished and stored.

    A proposal that is the network of an earlier one (`nas.repeats.network_key`) is a trial of its own, beyond `trials`:
    it takes no worker, and gets the result of the first, at once or when that one has ended. The controller and
    `on_trial` hear of it as of any other. The search is exhausted after `max_repeats_in_a_row` of them. With
    `repeats` = 'evaluated' there are none: what is proposed again is evaluated again.

    With `fidelity` candidates begin at the lowest of its rungs below `budget`. A free worker first promotes: that is a
    trial of its own, beyond `trials`, of which the controller is not told, for it would not be comparable with what it
    was told of the others.

    With `seconds` it also ends when the time of its evaluations, summed over them, has come to so many. Where the
    evaluator is `Tabled`, that is the time that it says, and nothing is begun that would pass the limit: a promotion is
    left out, and at the first candidate that does not fit the search ends. Else the time is real, what is running
    counts, and what was begun is finished.

    Raises SearchError after `max_failures_in_a_row` since this call (all are stored), or for a proposal that its space
    does not allow; SpaceError for one that is not of the space; StoreError where the store cannot be continued or
    written.
    """
    store.replay(Placed(controller, then=STORED))
    purse = Purse(evaluator, seconds)
    running = _Running(executor, evaluator, clock, purse)
    held = Held(controller, space, then=STORED)
    plan = _Plan(space, held, store, fidelity, trials, budget, seed, max_repeats_in_a_row, repeats, purse)
    failures: list[Trial] = []
    stopped = False
    while True:
        stopped = stopped or stop()
        if not stopped and len(failures) < max_failures_in_a_row:
            for trial in plan.take(workers - len(running), running.seconds()):
                running.submit(trial)
        answers = plan.answers()
        if not answers and len(running) == 0:
            break
        for trial in answers or running.ended():
            if trial.state == "pending":
                stopped = True
                plan.put_back(trial)
                continue
            plan.finish(trial)
            if trial.repeats is None:
                failures = [*failures, trial] if trial.state == "failed" else []
            on_trial(trial)
    if len(failures) >= max_failures_in_a_row:
        raise _too_many(failures)
    return plan.end(stopped)


class _Plan:
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
        max_repeats: int,
        repeats: Repeats,
        purse: Purse,
    ) -> None:
        self._space, self._controller, self._store = space, controller, store
        self._fidelity, self._budget, self._seed = fidelity, budget, seed
        self._known = {trial.number: trial for trial in store.trials()}
        self._lowest = fidelity.budgets(budget)[0]
        self._promoted = store.promoted()
        self._waiting = deque(evaluated(store.pending()))
        self._repeats = [trial for trial in store.pending() if trial.repeats is not None]
        asked = [trial for trial in self._known.values() if trial.number not in self._promoted]
        new = evaluated(asked)
        self._missing = trials - len(new)
        self._keyed = repeats == "known"
        # By network, the number of its first trial.
        self._first: dict[str, int] = {}
        for trial in new if self._keyed and self._missing > 0 else []:
            # Others are of a search with another budget or seed that went on here: their scores are not this one's.
            if (trial.budget, trial.seed) == (self._lowest, seed):
                self._first.setdefault(network_key(space, trial.architecture), trial.number)
        self._repeats_left = max_repeats - sum(1 for _ in takewhile(lambda t: t.repeats is not None, reversed(asked)))
        self._max_repeats = max_repeats
        self._dry = False
        self._purse, self._running_s, self._spent = purse, 0.0, False
        for trial in self._known.values():
            purse.note(trial)

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
        results = [(trial, self._known[trial.repeats]) for trial in self._repeats if trial.repeats is not None]
        self._repeats = [trial for trial, first in results if first.state == "pending"]
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
        waiting = {self._known[trial.repeats].state for trial in self._repeats if trial.repeats is not None}
        first_told = "done" in waiting or "failed" in waiting or len(self._repeats) >= MOST_WAITING
        resting = self._dry or self._spent or first_told
        return 0 if resting or self._repeats_left <= 0 else min(room, self._missing)

    def _proposed(self, architecture: Architecture, key: str | None) -> list[Trial]:
        """Stores a proposal: the trial to evaluate, or none where its network, named by `key`, was proposed before."""
        if key is not None and key in self._first:
            self._repeats += self._noted([self._store.repeat(architecture, self._known[self._first[key]])])
            self._repeats_left -= 1
            return []
        if not self._purse.holds(architecture, self._lowest, self._running_s):
            self._spent = True
            return []
        new = self._noted(self._store.propose([architecture], self._lowest, self._seed))
        if key is not None:
            self._first[key] = new[0].number
        self._missing -= 1
        self._repeats_left = self._max_repeats
        return new

    def _promotion(self) -> tuple[Trial, int] | None:
        found = self._fidelity.promotion(self._known.values(), self._budget)
        fits = found is not None and self._purse.holds(found[0].architecture, found[1], self._running_s)
        return found if fits else None

    def _noted(self, trials: list[Trial]) -> list[Trial]:
        for trial in trials:
            self._known[trial.number] = trial
            self._purse.note(trial)
        return trials


def _too_many(failures: Sequence[Trial]) -> SearchError:
    last = failures[-1]
    return SearchError(
        f"{len(failures)} candidates failed in a row, the last (#{last.number}) with {last.error}; "
        "all are stored: remove the cause and resume, or start a new run"
    )


class _Running:
    """The trials that are being evaluated."""

    def __init__(self, executor: Executor, evaluator: Evaluator, clock: Callable[[], float], purse: Purse) -> None:
        self._executor = executor
        self._evaluator = evaluator
        self._clock = clock
        self._purse = purse
        self._trials: dict[Future[Score], tuple[Trial, float]] = {}

    def __len__(self) -> int:
        return len(self._trials)

    def submit(self, trial: Trial) -> None:
        started = self._clock()
        future = self._executor.submit(self._evaluator.evaluate, trial.architecture, trial.budget, trial.seed)
        self._trials[future] = trial, started

    def ended(self) -> Iterator[Trial]:
        """Waits a little and yields, by number, what has ended: done, failed, or pending where it was cancelled."""
        futures = wait(self._trials, timeout=POLL_S, return_when=FIRST_COMPLETED).done
        for future in sorted(futures, key=lambda future: self._trials[future][0].number):
            trial, started = self._trials.pop(future)
            yield self._ended(trial, future, self._clock() - started)

    def seconds(self) -> float:
        """How long those that are running have been, together."""
        now = self._clock()
        return math.fsum(now - started for _, started in self._trials.values())

    def _ended(self, trial: Trial, future: Future[Score], seconds: float) -> Trial:
        error: BaseException | None = CancelledError() if future.cancelled() else future.exception()
        if isinstance(error, CancelledError):
            return trial
        if error is None:
            score, error = attempt(_storable, future.result())
            if error is None:
                return replace(trial, state="done", score=score, seconds=self._purse.took(trial, score, seconds))
        return replace(trial, state="failed", error=reason(error), seconds=self._purse.took(trial, None, seconds))


def _storable(result: Any) -> Score:
    """The score as the store will give it back: the controller must hear the same from a search and from its resume."""
    if not isinstance(result, Score):
        raise NasError(f"the evaluator returned {type(result).__name__}; it must return a Score")
    return Score.from_json(json.loads(json.dumps(result.checked().to_json(), allow_nan=False)))
