"""Progress of a run, as callers hear of it, and its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..config.reading import Config
from ..trial import Trial
from .folder import Run


class Progress(Protocol):
    """Who hears how a run comes along."""

    def started(self, run: Run, config: Config, done: list[Trial], workers: int) -> None: ...

    def trial(self, trial: Trial, best: Trial) -> None: ...

    def measured(self, done: int, of: int) -> None: ...

    def exhausted(self) -> None: ...

    def stopping(self) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its final result as JSON values, or None where it was interrupted before there was one."""

    run: Run
    state: Literal["done", "interrupted"]
    final: dict[str, Any] | None


class Silence:
    """Hears of a run and says nothing."""

    def started(self, run: Run, config: Config, done: list[Trial], workers: int) -> None: ...

    def trial(self, trial: Trial, best: Trial) -> None: ...

    def measured(self, done: int, of: int) -> None: ...

    def exhausted(self) -> None: ...

    def stopping(self) -> None: ...
