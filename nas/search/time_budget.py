"""Time budget of a search, in real or simulated seconds."""

from __future__ import annotations

import math
from typing import Protocol

from ..architecture import Architecture
from ..errors import NasError
from ..protocols.evaluators import Evaluator, Tabled
from ..trial import Score, Trial

NS = 1_000_000_000
"""Nanoseconds in a second."""
MOST_COSTS = 1000
"""Maximum number of costs that are kept; each is needed for one trial, from its proposal to its result."""


class TimeBudget(Protocol):
    """Seconds for evaluations, summed over trials. Duplicates cost nothing."""

    def allows(self, architecture: Architecture, budget: int, running_s: float) -> bool:
        """Whether another evaluation may begin beside others that have run for `running_s` seconds in all."""
        ...

    def charge(self, trial: Trial) -> None:
        """Charges a trial once its cost is known; one that was charged while it was pending is not charged again."""
        ...

    def duration_s(self, trial: Trial, score: Score | None, measured_s: float) -> float:
        """Seconds that count for a trial that ended, after `measured_s` real seconds, with a score or without."""
        ...


class RealTimeBudget:
    """Budget of real seconds: evaluations are charged when they end, and none begins when the budget is used up.

    Args:
        limit_s: Seconds, above 0; infinity for no limit.
    """

    def __init__(self, limit_s: float) -> None:
        self._account = _Account(limit_s)

    def allows(self, architecture: Architecture, budget: int, running_s: float) -> bool:
        return not self._account.limited or self._account.left_ns > running_s * NS

    def charge(self, trial: Trial) -> None:
        if trial.duplicate_of is None and trial.state != "pending":
            self._account.charge(trial.number, round((trial.seconds or 0.0) * NS))

    def duration_s(self, trial: Trial, score: Score | None, measured_s: float) -> float:
        return measured_s


class SimulatedTimeBudget:
    """Budget of seconds taken from a table: look-ups are charged when they begin, and none begins that would exceed it.

    Args:
        table: The evaluator, which knows the seconds of an evaluation in advance.
        limit_s: Seconds, above 0; infinity for no limit.
    """

    def __init__(self, table: Tabled, limit_s: float) -> None:
        self._table = table
        self._account = _Account(limit_s)
        self._kept: dict[tuple[Architecture, int], int] = {}
        """Costs in nanoseconds by architecture and budget, since each look-up decides the architecture anew."""

    def allows(self, architecture: Architecture, budget: int, running_s: float) -> bool:
        return not self._account.limited or self._cost_ns(architecture, budget) <= self._account.left_ns

    def charge(self, trial: Trial) -> None:
        if trial.duplicate_of is None:
            if not self._account.charged(trial.number):
                self._account.charge(trial.number, self._cost_ns(trial.architecture, trial.budget))
            if trial.state != "pending":
                self._account.forget(trial.number)

    def duration_s(self, trial: Trial, score: Score | None, measured_s: float) -> float:
        if score is not None:
            return score.cost_s or 0.0
        return self._cost_ns(trial.architecture, trial.budget) / NS

    def _cost_ns(self, architecture: Architecture, budget: int) -> int:
        kept = self._kept.get((architecture, budget))
        if kept is None:
            try:
                kept = round(self._table.seconds(architecture, budget) * NS)
            except NasError:
                # A table without costs is free, and an architecture that it lacks fails when it is evaluated.
                kept = 0
            if len(self._kept) >= MOST_COSTS:
                self._kept.clear()
            self._kept[architecture, budget] = kept
        return kept


def time_budget(evaluator: Evaluator, limit_s: float) -> TimeBudget:
    """The time budget for an evaluator: simulated where it looks results up in a table, else real."""
    return SimulatedTimeBudget(evaluator, limit_s) if isinstance(evaluator, Tabled) else RealTimeBudget(limit_s)


class _Account:
    """Charges by trial number, in whole nanoseconds, so that their order does not change the sum."""

    def __init__(self, limit_s: float) -> None:
        self.limited = limit_s != math.inf
        self.left_ns = round(limit_s * NS) if self.limited else 0
        self._charged: set[int] = set()

    def charged(self, number: int) -> bool:
        return not self.limited or number in self._charged

    def forget(self, number: int) -> None:
        """Forgets that a trial was charged, since it has ended and comes no more."""
        self._charged.discard(number)

    def charge(self, number: int, cost_ns: int) -> None:
        if not self.charged(number):
            self._charged.add(number)
            self.left_ns -= cost_ns
