"""The finals: the best candidates re-measured on fresh tasks, the winner and the baseline tested once, side by side.

A search's best score flatters: it is the luckiest of many. So finalists are meta-trained again with other seeds and
measured on validation tasks that no candidate has seen; that chooses the winner, by successive rejects. Only then are
test tasks touched, once, by the winner, by the hand-designed baseline and by the best of the random control, on the
same tasks with the same seeds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from ..analysis.ranking import leaders, median
from ..analysis.seed_variance import SeedPool
from ..architecture import Architecture
from ..config.parts import Parts
from ..config.reading import Config, FinalTable
from ..protocols import FewShot, TaskFamily
from ..space.sampling import sample
from ..store.sqlite_store import Store
from ..task import Bank
from ..trial import Score, Trial
from . import random_control
from .folder import Run
from .measurements import Measuring, Stopped, of_search

FRESH = 1_000_000
"""The first fresh validation task; a search's own bank begins at 0."""
ENOUGH_TASKS, ENOUGH_QUERIES = 600, 15
"""Tasks, and queries a class, from which on a mean is worth reporting."""


@dataclass(frozen=True)
class Finals:
    """What the finals of one run need. `on_done` hears of each measurement: how many are done, and of how many.
    `control` is the store of the run's random control, where it has one."""

    run: Run
    store: Store
    config: Config
    parts: Parts
    executor: Executor
    stop: Callable[[], bool]
    on_done: Callable[[int, int], None]
    control: Store | None = None

    def hold(self) -> dict[str, Any] | None:
        """The finals' result as JSON values, also stored as the record 'final'; None when interrupted.

        Measurements that a store holds already are not made again. Raises SearchError when no candidate can be
        measured.
        """
        try:
            result = self._held()
        except Stopped:
            return None
        self.store.put("final", result)
        return result

    def _held(self) -> dict[str, Any]:
        config, trials, measuring = self.config.final, self.store.trials(), self._measuring()
        finalists = leaders(trials, config.top)
        middle = median(trials)
        baseline = sample(self.parts.baseline, random.Random(0))
        fresh, test = Bank("validation", FRESH, config.validation_tasks), Bank("test", 0, config.tasks)
        ranked = measuring.rank(fresh, finalists, beside=[middle.architecture])
        winner = ranked[0][0]
        measuring.make(test, [(winner.architecture, config.seeds), (baseline, config.seeds)])
        tested = measuring.scores(winner.architecture, test, config.seeds)
        count = config.seeds
        pool = measuring.pool(
            {
                fresh: [*((trial.architecture, pulls) for trial, pulls in ranked), (middle.architecture, count)],
                test: [(winner.architecture, count), (baseline, count)],
            }
        )
        return {
            "kind": self.parts.measurer.tasks.shape.kind,
            "tasks": config.tasks,
            "finalists": measuring.entries(fresh, ranked, pool),
            "median": self._against(winner, middle, fresh, pool),
            **self._tested(winner, tested, baseline, test, fresh, pool),
            "control": self._control(tested, test, fresh, pool),
            "warning": warning(config, self.parts.measurer.tasks),
            "failures": measuring.failures(),
        }

    def _measuring(self) -> Measuring:
        return Measuring(
            self.run, self.store, self.config, self.parts, self.executor, stop=self.stop, on_done=self.on_done
        )

    def _control(self, winner: list[Score], test: Bank, fresh: Bank, pool: SeedPool) -> dict[str, Any] | None:
        if self.control is None:
            return None
        measuring = replace(self._measuring(), store=self.control)
        found = random_control.result(measuring, winner, test=test, fresh=fresh, pool=pool)
        return {**found, "anytime": random_control.both(self.config, self.store, self.control)}

    def _against(self, winner: Trial, middle: Trial, fresh: Bank, pool: SeedPool) -> dict[str, Any] | None:
        """The median candidate of the search, and by how much the winner is better on the same fresh tasks."""
        measuring, count = self._measuring(), self.config.final.seeds
        ours, theirs = (measuring.scores(trial.architecture, fresh, count) for trial in (winner, middle))
        if not theirs:
            return None
        difference = measuring.difference(ours, theirs, pool)
        return {**of_search(middle), **measuring.entry(middle.architecture, theirs, pool), "difference": difference}

    def _tested(
        self, winner: Trial, ours: list[Score], baseline: Architecture, test: Bank, fresh: Bank, pool: SeedPool
    ) -> dict[str, Any]:
        measuring, count = self._measuring(), self.config.final.seeds
        theirs = measuring.scores(baseline, test, count)
        chosen = measuring.scores(winner.architecture, fresh, count)
        seed = max(zip(measuring.seeds(count), chosen, strict=True), key=lambda pair: pair[1].value)[0]
        tested = {"number": winner.number, "weights_seed": seed}
        return {
            "winner": {**tested, **measuring.entry(winner.architecture, ours, pool)} if ours else None,
            "baseline": {"name": baseline.space, **measuring.entry(baseline, theirs, pool)} if theirs else None,
            "difference": measuring.difference(ours, theirs, pool) if ours and theirs else None,
        }


def warning(config: FinalTable, tasks: TaskFamily) -> str | None:
    """What a report must say where its numbers rest on too little; None where they do not."""
    counts = {"validation tasks": config.validation_tasks, "test tasks": config.tasks}
    few = [f"{count:,} {what}" for what, count in counts.items() if count < ENOUGH_TASKS]
    rule = f"at least {ENOUGH_TASKS} tasks"
    if tasks.shape.kind == "classification":
        rule += f" of {ENOUGH_QUERIES} queries a class"
        queries = tasks.queries if isinstance(tasks, FewShot) else ENOUGH_QUERIES
        few += [f"{queries} queries a class"] if queries < ENOUGH_QUERIES else []
    return f"measured on {', '.join(few)}; numbers to report need {rule}" if few else None
