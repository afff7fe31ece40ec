"""Limit of a run's wall-clock time, finals included, and the estimate of what the finals take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from statistics import fmean

from ..config.parts import measures
from ..config.schema import Config, FinalTable
from ..protocols.evaluators import Evaluator
from ..protocols.recipes import RecipeMeasuring
from ..store.sqlite_store import Store
from ..trial import Trial
from .successive_rejects import schedule

SPENT = "spent_s"
"""Key of the record of the seconds that a run with a limit has taken so far, in all its processes."""


class WallClock:
    """Wall-clock time of a run in all its processes, against the limit `search.wall_clock_s`.

    Args:
        store: The run's store, which keeps the seconds taken so far.
        limit_s: The limit; 0 for none.
        began: When this process took up the run, by the clock; None for now.
        clock: Seconds from any fixed moment.
    """

    def __init__(
        self,
        store: Store,
        limit_s: float,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._clock, self._began = store, clock, clock() if began is None else began
        self.limit_s = limit_s or math.inf
        self._before_s = float(store.get(SPENT) or 0.0)
        self._late = self._before_s >= self.limit_s

    @property
    def spent_s(self) -> float:
        """Seconds that the run has taken so far."""
        return self._before_s + self._clock() - self._began

    @property
    def used_up(self) -> bool:
        """Whether the finals must end. The finals of a run that is resumed after its time are held to their end."""
        return not self._late and self.spent_s >= self.limit_s

    def keep(self) -> None:
        """Stores the seconds taken so far; without a limit nothing is stored."""
        if self.limit_s < math.inf:
            self._store.put(SPENT, self.spent_s)


def finals_s(config: Config, evaluator: Evaluator, finalists: Sequence[Trial], workers: int) -> float:
    """Estimated seconds of the finals: rounds of as many measurements as there are workers.

    A measurement is taken to be as slow as the finalists so far were on average: their training in proportion to the
    outer steps, their scoring in proportion to the tasks. The baseline network is taken to be as slow.

    Args:
        config: The run's config.
        evaluator: Its evaluator.
        finalists: The best trials so far, best first; the estimate without any is 0.
        workers: Measurements at a time.
    """
    if not finalists or not measures(evaluator):
        return 0.0
    parts = 0
    if config.final.attribution and isinstance(evaluator, RecipeMeasuring):
        parts = 1 + len(evaluator.recipe_of(finalists[0].architecture).parts)
    return _rounds(config.final, len(finalists), parts, workers) * fmean(_measurement_s(t, config) for t in finalists)


def _measurement_s(trial: Trial, config: Config) -> float:
    """Estimated seconds of one final measurement of a trial's architecture."""
    if trial.score is None:
        return 0.0
    total = trial.seconds or 0.0
    training = min(total, trial.score.metrics.get("train_seconds", total))
    steps = trial.budget - max((budget for budget in config.budgets if budget < trial.budget), default=0)
    tasks = max(config.final.validation_tasks, config.final.tasks)
    scored = len(trial.score.per_task) or tasks
    return training * config.final_budget / steps + (total - training) * tasks / scored


def _rounds(final: FinalTable, arms: int, parts: int, workers: int) -> int:
    """Rounds of measurements: the race and the median candidate, the test of two networks, the attribution."""
    counts = [0, *schedule(arms, arms * final.seeds)]
    phases = [(counts[i + 1] - counts[i]) * (arms - i) for i in range(len(counts) - 1)]
    phases[0] += final.seeds
    return sum(math.ceil(number / workers) for number in [*phases, 2 * final.seeds, 2 * parts * final.seeds])
