"""The searches of a run: its own, and that of its random-search control."""

from __future__ import annotations

import math
import shutil
import time
from bisect import insort
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..analysis import ranking
from ..analysis.ranking import num_candidates
from ..config.parts import build
from ..errors import SearchError
from ..protocols.evaluators import Tabled
from ..report.tensorboard import TensorBoardLog
from ..search.loop import search
from ..search.options import SearchOptions
from ..search.plan import End
from ..store.costs import StoredCosts
from ..store.sqlite_store import Store
from ..trial import Trial
from . import random_control, trial_logs
from .context import RunContext
from .extending import ENDED, FINISHED
from .folder import RUNNING
from .wall_clock import WallClock, finals_s


def search_candidates(context: RunContext, clock: WallClock) -> None:
    """The run's search, or the rest of it; nothing where it was ended. Where its time is used up, that is stored."""
    if context.store.get(ENDED) is not None:
        return
    both = 1 if context.config.search.control == "none" else 2
    listener = _Listener(context, clock, context.run.logs, _Share(both, both))
    if _search(context, listener) == "interrupted" and not context.stop() and listener.stop():
        context.store.put(ENDED, {"reason": f"search.wall_clock_s = {clock.limit_s:g}"})


def search_control(context: RunContext, store: Store, clock: WallClock) -> None:
    """The search of the random-search control, with as many candidates as the run's own search has.

    Where it fails the run goes on, and its result says why.
    """
    ended = context.store.get(ENDED)
    if store.get(random_control.FAILED) is not None or ended == FINISHED:
        return
    config = random_control.control_config(context.config)
    if ended is not None:
        trials = num_candidates(context.store.trials())
        config = config.model_copy(update={"search": config.search.model_copy(update={"trials": trials})})
    parts = build(config, StoredCosts(store))
    inner = replace(context, run=context.run.control, store=store, config=config, parts=parts)
    try:
        _search(inner, _Listener(inner, clock, context.run.logs / "control", _Share(1, 2)))
    except SearchError as error:
        store.put(random_control.FAILED, {"reason": str(error)})


class _Share(NamedTuple):
    """Share of a search in the run's time.

    Attributes:
        searches: Number of searches, itself included, that are still to come.
        finals: Number of finals that are still to come.
    """

    searches: int
    finals: int


class _Listener:
    """What follows a search: its progress, its logs, the times of its evaluations, and the run's wall clock."""

    def __init__(self, context: RunContext, clock: WallClock, logs: Path, share: _Share) -> None:
        self._context, self._clock, self._share = context, clock, share
        self.done = [trial for trial in context.store.trials() if trial.state != "pending"]
        self.log = TensorBoardLog(logs, context.parts.space, context.parts.controller)
        self._leader = next(iter(ranking.best(self.done)), None)
        self._finalists = ranking.best(self.done, context.config.final.top)
        self._seconds = sorted(trial.seconds or 0.0 for trial in self.done if trial.score is not None)
        self._started: dict[int, float] = {}
        self._finals_s = self._estimate()

    def on_start(self, trial: Trial) -> None:
        """Stores and tells what is being evaluated since when."""
        self._started[trial.number] = time.time()
        if not isinstance(self._context.parts.evaluator, Tabled):  # A look-up takes less than to store that it began.
            self._context.store.put(RUNNING, self._started)
        self._context.progress.running(dict(self._started), self._finals_s)

    def on_trial(self, trial: Trial) -> None:
        self._started.pop(trial.number, None)
        self._leader = ranking.better(self._leader, trial)
        if trial.score is not None:
            insort(self._seconds, trial.seconds or 0.0)
            self._finalists = ranking.best([*self._finalists, trial], self._context.config.final.top)
            self._finals_s = self._estimate()
        self._clock.keep()
        self.log.add(trial)
        self._context.progress.trial(trial, self._leader)

    def stop(self) -> bool:
        """Whether no evaluation may begin: the run was asked to stop, or another one would leave the finals too little
        of its time. A search with a control has half of what the finals of both leave."""
        if self._context.stop() or self._clock.limit_s == math.inf:
            return self._context.stop()
        # The first evaluation of a worker takes longer, and is above the median soon.
        usual_s = self._seconds[len(self._seconds) // 2] if self._seconds else 0.0
        return self._clock.spent_s + usual_s >= (self._clock.limit_s - self._finals_s) / self._share.searches

    def _estimate(self) -> float:
        config = self._context.config
        return self._share.finals * finals_s(
            config, self._context.parts.evaluator, self._finalists, self._context.executor.workers
        )


def _search(context: RunContext, listener: _Listener) -> End:
    config, parts, executor = context.config, context.parts, context.executor
    context.progress.started(context.run, config, listener.done, executor.workers)
    options = SearchOptions(
        trials=config.search.trials,
        budget=config.evaluator.budget,
        seed=config.search.seed,
        workers=executor.workers,
        fidelity=config.fidelity,
        checkpoints=context.run.checkpoints if len(config.budgets) > 1 else None,
        duplicates=config.search.repeats,
        seconds=config.search.seconds or math.inf,
        on_start=listener.on_start,
        on_trial=listener.on_trial,
        on_output=lambda trial, output: trial_logs.keep(context.run, str(trial.number), output),
        on_replayed=listener.log.add,
        stop=listener.stop,
        on_machine_fault=lambda trial, error: context.faults.verdict(
            context.run.folder, f"{context.run.name} {trial.number}", error
        ),
    )
    end = search(parts.space, parts.controller, parts.evaluator, context.store, executor, options)
    if end == "exhausted":
        context.progress.exhausted()
    if end != "interrupted":
        shutil.rmtree(context.run.checkpoints, ignore_errors=True)
    return end
