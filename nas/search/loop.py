"""The one search loop: ask, evaluate, store, tell. Networks that were proposed before are not evaluated again."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import replace
from typing import Any

from ..architecture import Architecture
from ..errors import NasError, SearchError
from ..executors.capped_output import output_of
from ..executors.retried_call import RetriedCall
from ..failures import attempt, is_machine_fault, reason
from ..protocols.controllers import Controller, Trials
from ..protocols.evaluators import Evaluator, Resumable, Tabled, half_chunk
from ..protocols.executors import Submits
from ..protocols.spaces import SearchSpace
from ..store.rows import RowReader
from ..trial import Score, Trial
from .checked_controller import STORED, CheckedController, GuardedController
from .options import SearchOptions
from .plan import End, Plan
from .time_budget import TimeBudget, time_budget

POLL_S = 0.2
"""Longest time between two calls of `stop`, in seconds."""


def search(
    space: SearchSpace,
    controller: Controller,
    evaluator: Evaluator,
    store: Trials,
    executor: Submits,
    options: SearchOptions,
) -> End:
    """Fills a store with the candidates of a search, or continues the search of a store that has some.

    A result is stored before the controller is told, and `options.on_trial` is called last, so the controller never
    knows more than the store. A candidate that raises, whose worker dies, or whose score is not finite is a failed
    trial with its reason. What follows where an error of the machine ended it, such as a full disk, is decided by
    `options.on_machine_fault`. The controller and `on_trial` hear of a duplicate as of any other trial.

    Args:
        space: The search space.
        controller: A fresh controller; it is brought to the state in which the store's controller was.
        evaluator: The evaluator of candidates. With workers in other processes it is pickled.
        store: Where trials are kept.
        executor: Where evaluations run; for `options.workers` at a time.
        options: Size, budgets and limits of the search.

    Returns:
        How the search ended.

    Raises:
        SearchError: Too many candidates failed in a row (all are stored), the controller raised, or it proposed what
            the space rejects.
        SpaceError: A proposal is of another space.
        StoreError: The store cannot be continued or written.
    """
    replayed = _ReplayedController(GuardedController(controller, then=STORED), store, options.on_replayed)
    store.replay(replayed)
    replayed.replay_promotions()
    budget = time_budget(evaluator, options.seconds)
    running = _RunningTrials(executor, evaluator, options, budget)
    checked = CheckedController(controller, space, then=STORED)
    plan = Plan(space, checked, store, options, budget, quick=isinstance(evaluator, Tabled))
    failures: list[Trial] = []
    stopped = False
    while True:
        stopped = stopped or options.stop()
        if not stopped and len(failures) < options.max_failures_in_a_row:
            for trial in plan.take(options.workers - len(running), running.seconds()):
                options.on_start(trial)
                running.submit(trial)
        duplicates = plan.ended_duplicates()
        if not duplicates and len(running) == 0:
            break
        for trial in duplicates or running.ended():
            if trial.state == "pending":
                stopped = True
                plan.put_back(trial)
                continue
            plan.finish(trial)
            if trial.duplicate_of is None:
                failures = [*failures, trial] if trial.state == "failed" else []
            options.on_trial(trial)
    if len(failures) >= options.max_failures_in_a_row:
        raise _too_many(failures)
    return plan.end(stopped=stopped)


def _too_many(failures: Sequence[Trial]) -> SearchError:
    last = failures[-1]
    return SearchError(
        f"{len(failures)} candidates failed in a row, the last (#{last.number}) with {last.error}; "
        "all are stored: remove the cause and resume, or start a new run"
    )


class _ReplayedController:
    """A controller that is told stored trials one by one, with a call of `on_replayed` for each.

    The order of promotions among them is not stored: they are placed by number.
    """

    def __init__(self, controller: Controller, store: Trials, on_replayed: Callable[[Trial], None]) -> None:
        self._controller, self._on_replayed = controller, on_replayed
        promoted = store.promoted()
        self._promotions = deque(t for t in store.trials() if t.number in promoted and t.state != "pending")

    def ask(self, n: int) -> list[Architecture]:
        return self._controller.ask(n)

    def tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            self.replay_promotions(before=trial.number)
            self._controller.tell([trial])
            self._on_replayed(trial)

    def replay_promotions(self, before: float = math.inf) -> None:
        while self._promotions and self._promotions[0].number < before:
            self._on_replayed(self._promotions.popleft())


class _RunningTrials:
    """The trials that are being evaluated."""

    def __init__(
        self, executor: Submits, evaluator: Evaluator, options: SearchOptions, time_budget: TimeBudget
    ) -> None:
        self._executor = executor
        self._options = options
        self._clock = options.clock
        smaller = half_chunk(evaluator)
        self._staged = options.checkpoints is not None and isinstance(evaluator, Resumable)
        name = "advance" if self._staged else "evaluate"
        self._call: RetriedCall[..., Score] = RetriedCall(getattr(evaluator, name), getattr(smaller, name, None))
        self._time_budget = time_budget
        self._reader = RowReader()
        self._trials: dict[Future[Score], tuple[Trial, float]] = {}

    def __len__(self) -> int:
        return len(self._trials)

    def submit(self, trial: Trial) -> None:
        started = self._clock()
        self._trials[self._submitted(trial)] = trial, started

    def _submitted(self, trial: Trial) -> Future[Score]:
        arguments, folder = (trial.architecture, trial.budget, trial.seed), self._options.checkpoints
        if folder is None or not self._staged:
            return self._executor.submit(self._call, *arguments)
        checkpoint = folder / f"{trial.architecture.key}-seed{trial.seed}.safetensors"
        return self._executor.submit(self._call, *arguments, schedule=self._options.budget, checkpoint=checkpoint)

    def ended(self) -> Iterator[Trial]:
        """Waits at most POLL_S and yields the trials that ended, by number.

        One that was cancelled, or for whose error of the machine the search stops, is yielded as pending.
        """
        futures = wait(self._trials, timeout=POLL_S, return_when=FIRST_COMPLETED).done
        for future in sorted(futures, key=lambda future: self._trials[future][0].number):
            trial, started = self._trials.pop(future)
            if output := output_of(future):
                self._options.on_output(trial, output)
            ended = self._ended(trial, future, self._clock() - started)
            if ended is None:
                self.submit(trial)
            else:
                yield ended

    def seconds(self) -> float:
        """Seconds that the running trials have taken so far, in all."""
        now = self._clock()
        return math.fsum(now - started for _, started in self._trials.values())

    def _ended(self, trial: Trial, future: Future[Score], elapsed_s: float) -> Trial | None:
        """The trial with its result; None where it is to be evaluated again."""
        error: BaseException | None = CancelledError() if future.cancelled() else future.exception()
        if isinstance(error, CancelledError):
            return trial
        if error is not None and is_machine_fault(error):
            verdict = self._options.on_machine_fault(trial, error)
            if verdict != "failed":
                return trial if verdict == "stop" else None
        if error is None:
            # The result is foreign: any object that the evaluator returned.
            stored = attempt(self._as_stored, future.result())
            if stored.error is None:
                seconds = self._time_budget.duration_s(trial, stored.value, elapsed_s)
                return replace(trial, state="done", score=stored.value, seconds=seconds)
            error = stored.error
        seconds = self._time_budget.duration_s(trial, None, elapsed_s)
        return replace(trial, state="failed", error=reason(error), seconds=seconds)

    def _as_stored(self, result: Any) -> Score:
        """The score as the store will give it back, so that a resumed search tells the controller the same."""
        if not isinstance(result, Score):
            raise NasError(f"the evaluator returned {type(result).__name__}; it must return a Score")
        return self._reader.score(json.dumps(result.checked().to_json(), allow_nan=False, separators=(",", ":")))
