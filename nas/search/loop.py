"""The one search loop: ask, evaluate, store, tell. A network that was proposed before is not evaluated again."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from dataclasses import replace
from typing import Any

from ..errors import NasError, SearchError
from ..failures import attempt, reason
from ..protocols import Controller, Evaluator, SearchSpace, Trials
from ..trial import Duplicates, Score, Trial
from .checked_controller import STORED, CheckedController, GuardedController
from .fidelity import ONE_RUNG, Fidelity
from .plan import End, Plan
from .time_budget import TimeBudget

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
    duplicates: Duplicates = "known",
    seconds: float = math.inf,
    on_trial: Callable[[Trial], None] = lambda _trial: None,
    stop: Callable[[], bool] = lambda: False,
    max_failures_in_a_row: int = 20,
    max_duplicates_in_a_row: int = 200,
    clock: Callable[[], float] = time.monotonic,
) -> End:
    """Fills a store with `trials` finished candidates; a store that has some is continued.

    `controller` is a fresh one: it is brought to where the store's was. `workers` candidates are evaluated at a time,
    all with the same `seed`, so that they are compared on the same tasks and draws (common random numbers). A result is
    stored before the controller is told of it, so the controller never runs ahead of the store; `on_trial` hears of it
    last. A candidate that raises, dies, or has a score with a number that is not finite, is a failed trial with its
    reason. After `stop()` nothing more is begun; what is running is finished and stored.

    A proposal that is the network of an earlier one (`network_key`) is a trial of its own, beyond `trials`: it
    takes no worker, and gets the result of the first, at once or when that one has ended. The controller and
    `on_trial` hear of it as of any other. The search is exhausted after `max_duplicates_in_a_row` of them. With
    `duplicates` = 'evaluated'' there are none: what is proposed again is evaluated again.

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
    store.replay(GuardedController(controller, then=STORED))
    time_budget = TimeBudget(evaluator, seconds)
    running = _Running(executor, evaluator, clock, time_budget)
    held = CheckedController(controller, space, then=STORED)
    plan = Plan(space, held, store, fidelity, trials, budget, seed, max_duplicates_in_a_row, duplicates, time_budget)
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
            if trial.duplicate_of is None:
                failures = [*failures, trial] if trial.state == "failed" else []
            on_trial(trial)
    if len(failures) >= max_failures_in_a_row:
        raise _too_many(failures)
    return plan.end(stopped)


def _too_many(failures: Sequence[Trial]) -> SearchError:
    last = failures[-1]
    return SearchError(
        f"{len(failures)} candidates failed in a row, the last (#{last.number}) with {last.error}; "
        "all are stored: remove the cause and resume, or start a new run"
    )


class _Running:
    """The trials that are being evaluated."""

    def __init__(
        self, executor: Executor, evaluator: Evaluator, clock: Callable[[], float], time_budget: TimeBudget
    ) -> None:
        self._executor = executor
        self._evaluator = evaluator
        self._clock = clock
        self._time_budget = time_budget
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
                return replace(trial, state="done", score=score, seconds=self._time_budget.took(trial, score, seconds))
        return replace(trial, state="failed", error=reason(error), seconds=self._time_budget.took(trial, None, seconds))


def _storable(result: Any) -> Score:
    """The score as the store will give it back: the controller must hear the same from a search and from its resume."""
    if not isinstance(result, Score):
        raise NasError(f"the evaluator returned {type(result).__name__}; it must return a Score")
    return Score.from_json(json.loads(json.dumps(result.checked().to_json(), allow_nan=False)))
