"""Progress of a run, as callers receive it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..config.schema import Config
from ..trial import Trial
from .folder import RunFolder


class Progress(Protocol):
    """Receiver of a run's events."""

    def checking(self, what: str) -> None:
        """A check before the search begins, which may take a while; `what` completes 'checking …'."""

    def started(self, run: RunFolder, config: Config, done: list[Trial], workers: int) -> None:
        """A search begins; `done` are the trials that an earlier process finished."""

    def running(self, started: Mapping[int, float], finals_s: float) -> None:
        """An evaluation begins; `started` has the times of all that run, in seconds since the epoch, by trial number.
        `finals_s` are the estimated seconds of the finals."""

    def trial(self, trial: Trial, best: Trial) -> None:
        """A trial has ended; `best` is the best one so far, without a score where none has one."""

    def measured(self, done: int, of: int) -> None:
        """So many of the final measurements on one bank are done."""

    def exhausted(self) -> None:
        """The controller proposes no new networks."""

    def stopping(self) -> None:
        """The run was asked to stop, and finishes what is running."""


class Silence:
    """Progress that is shown nowhere."""

    def checking(self, what: str) -> None: ...

    def started(self, run: RunFolder, config: Config, done: list[Trial], workers: int) -> None: ...

    def running(self, started: Mapping[int, float], finals_s: float) -> None: ...

    def trial(self, trial: Trial, best: Trial) -> None: ...

    def measured(self, done: int, of: int) -> None: ...

    def exhausted(self) -> None: ...

    def stopping(self) -> None: ...
