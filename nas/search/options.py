"""Options of a search."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..failures import reason
from ..trial import Duplicates, Trial
from .fidelity import ONE_RUNG, Fidelity

FaultVerdict = Literal["stop", "again", "failed"]
"""What follows an error of the machine: the search stops, the trial is evaluated again, or it failed."""
log = logging.getLogger(__name__)


def _ignore(_trial: Trial) -> None:
    pass


def _ignore_output(_trial: Trial, _output: bytes) -> None:
    pass


def _never() -> bool:
    return False


def _stop(_trial: Trial, error: BaseException) -> FaultVerdict:
    log.warning("the search stops for an error of the machine, and can be continued: %s", reason(error))
    return "stop"


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Size, budgets and limits of a search.

    Attributes:
        trials: Candidates to evaluate. Duplicates, promotions and retries are trials beyond these.
        budget: Outer steps of a full evaluation, at least 1.
        seed: Seed of every evaluation. All candidates share it, so that they are compared on the same tasks and draws
            (common random numbers).
        workers: Candidates evaluated at a time, at least 1.
        fidelity: Rungs of budgets below `budget`. A candidate begins at the lowest rung; a free worker promotes first.
            A promotion is a trial of its own, of which the controller is not told, since its score is not comparable
            with those of the lowest rung.
        checkpoints: Folder in which the training of a promoted candidate is continued from the rung below, one file a
            candidate, where the evaluator is `Resumable`; None for none.
        duplicates: 'known': a proposal whose network was proposed before takes no worker and gets the result of the
            first trial of that network. 'evaluated': it is evaluated again.
        seconds: Time budget, summed over evaluations, above 0. It is real time except where the evaluator is `Tabled`:
            there it is the time that the table gives, and nothing begins that would exceed it.
        on_start: Called with every trial whose evaluation begins.
        on_trial: Called with every trial that ended, after it is stored and the controller is told.
        on_output: Called with a trial and what its evaluation printed in its worker process, where it printed, before
            the trial is stored.
        on_replayed: Called with every finished trial that the store of a continued search holds, as `on_trial` was.
        stop: Polled between trials, and several times a second while workers are busy. Once it returns True nothing
            more begins; what is running is finished and stored.
        on_machine_fault: Called with a trial and the error of the machine, such as a full disk, that ended its
            evaluation; says what follows. Where the search stops, it ends as interrupted, and the trial stays pending.
        max_failures_in_a_row: Failed trials in a row, counted in this call, after which SearchError is raised.
        max_duplicates_in_a_row: Duplicates in a row after which the search is exhausted.
        clock: Seconds from any fixed moment.
    """

    trials: int
    budget: int
    seed: int
    workers: int
    fidelity: Fidelity = ONE_RUNG
    checkpoints: Path | None = None
    duplicates: Duplicates = "known"
    seconds: float = math.inf
    on_start: Callable[[Trial], None] = _ignore
    on_trial: Callable[[Trial], None] = _ignore
    on_output: Callable[[Trial, bytes], None] = _ignore_output
    on_replayed: Callable[[Trial], None] = _ignore
    stop: Callable[[], bool] = _never
    on_machine_fault: Callable[[Trial, BaseException], FaultVerdict] = _stop
    max_failures_in_a_row: int = 20
    max_duplicates_in_a_row: int = 200
    clock: Callable[[], float] = time.monotonic
