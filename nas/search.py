"""The one search loop: ask, evaluate, store, tell."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from dataclasses import replace
from typing import Any, Literal

from .architecture import Architecture, Score, Trial
from .errors import NasError, Rejected, SearchError
from .executors.attempt import attempt, reason
from .protocols import Controller, Evaluator, SearchSpace
from .space import replay
from .store import Store

End = Literal["done", "exhausted", "interrupted"]
"""All trials are finished; or the controller has no more to propose; or `stop` said so, or the executor was killed."""

POLL_S = 0.2
"""How long a search may take to see that it should stop."""


def search(
    *,
    space: SearchSpace,
    controller: Controller,
    evaluator: Evaluator,
    store: Store,
    executor: Executor,
    trials: int,
    budget: int,
    seed: int,
    workers: int,
    on_trial: Callable[[Trial], None] = lambda _trial: None,
    stop: Callable[[], bool] = lambda: False,
    max_failures_in_a_row: int = 20,
    clock: Callable[[], float] = time.monotonic,
) -> End:
    """Fills a store with `trials` finished trials; a store that has some is continued.

    `controller` is a fresh one: it is brought to where the store's was. `workers` candidates are evaluated at a time,
    all with the same `seed`, so that they are compared on the same tasks and draws (common random numbers). A result is
    stored before the controller is told of it, so the controller never runs ahead of the store; `on_trial` hears of it
    last. A candidate that raises, dies, or has a score with a number that is not finite, is a failed trial with its
    reason. After `stop()` nothing more is begun; what is running is finished and stored.

    Raises SearchError after `max_failures_in_a_row` since this call (all are stored), or for a proposal that its space
    does not allow; SpaceError for one that is not of the space; StoreError where the store cannot be continued or
    written.
    """
    store.replay(controller)
    waiting = deque(store.pending())
    missing = trials - len(store.trials())
    running = _Running(executor, evaluator, clock)
    failures: list[Trial] = []
    stopped = dry = False
    while True:
        stopped = stopped or stop()
        halted = stopped or len(failures) >= max_failures_in_a_row
        room = min(workers - len(running) - len(waiting), missing)
        if room > 0 and not halted and not dry:
            proposed = store.propose(_ask(controller, space, room), budget, seed)
            waiting.extend(proposed)
            missing -= len(proposed)
            dry = len(proposed) < room  # until a result comes in
        while waiting and len(running) < workers and not halted:
            running.submit(waiting.popleft())
        if len(running) == 0:
            break
        for trial in running.ended():
            if trial.state == "pending":
                stopped = True
                waiting.append(trial)
                continue
            store.finish(trial)
            controller.tell([trial])
            dry = False
            failures = [*failures, trial] if trial.state == "failed" else []
            on_trial(trial)
    if len(failures) >= max_failures_in_a_row:
        raise _too_many(failures)
    if waiting or (stopped and missing > 0):
        return "interrupted"
    return "exhausted" if missing > 0 else "done"


def _too_many(failures: Sequence[Trial]) -> SearchError:
    last = failures[-1]
    return SearchError(
        f"{len(failures)} candidates failed in a row, the last (#{last.number}) with {last.error}; "
        "all are stored: remove the cause and resume, or start a new run"
    )


class _Running:
    """The trials that are being evaluated."""

    def __init__(self, executor: Executor, evaluator: Evaluator, clock: Callable[[], float]) -> None:
        self._executor = executor
        self._evaluator = evaluator
        self._clock = clock
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
            yield _ended(trial, future, self._clock() - started)


def _ended(trial: Trial, future: Future[Score], seconds: float) -> Trial:
    error: BaseException | None = CancelledError() if future.cancelled() else future.exception()
    if isinstance(error, CancelledError):
        return trial
    if error is None:
        score, error = attempt(_storable, future.result())
        if error is None:
            return replace(trial, state="done", score=score, seconds=seconds)
    return replace(trial, state="failed", error=reason(error), seconds=seconds)


def _storable(result: Any) -> Score:
    """The score as the store will give it back: the controller must hear the same from a search and from its resume."""
    if not isinstance(result, Score):
        raise NasError(f"the evaluator returned {type(result).__name__}; it must return a Score")
    return Score.from_json(json.loads(json.dumps(result.checked().to_json(), allow_nan=False)))


def _ask(controller: Controller, space: SearchSpace, n: int) -> list[Architecture]:
    try:
        asked = controller.ask(n)
        for architecture in asked:
            replay(space, architecture)
    except Rejected as error:
        raise SearchError(f"the controller proposes what space {space.name!r} does not allow: {error}") from error
    return asked
