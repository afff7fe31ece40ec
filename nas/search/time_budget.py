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


class TimeBudget(Protocol):
    """Seconds for evaluations, summed over trials. Duplicates cost nothing."""

    def allows(self, architecture: Architecture, budget: int, running_s: float) -> bool:
        """Whether another evaluation may begin beside others that have run for `running_s` seconds in all."""
        ...

    def charge(self, trial: Trial) -> None:
        """Charges a trial once its cost is known; a trial that was charged before is not charged again."""
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
        self._costs: dict[tuple[Architecture, int], int] = {}
        """Costs in nanoseconds by architecture and budget, since each look-up decides the architecture anew."""

    def allows(self, architecture: Architecture, budget: int, running_s: float) -> bool:
        return not self._account.limited or self._cost_ns(architecture, budget) <= self._account.left_ns

    def charge(self, trial: Trial) -> None:
        if trial.duplicate_of is None and not self._account.charged(trial.number):
            self._account.charge(trial.number, self._cost_ns(trial.architecture, trial.budget))

    def duration_s(self, trial: Trial, score: Score | None, measured_s: float) -> float:
        if score is not None:
            return score.cost_s or 0.0
        return self._cost_ns(trial.architecture, trial.budget) / NS

    def _cost_ns(self, architecture: Architecture, budget: int) -> int:
        if (architecture, budget) not in self._costs:
            try:
                self._costs[architecture, budget] = round(self._table.seconds(architecture, budget) * NS)
            except NasError:
                # A table without costs is free, and an architecture that it lacks fails when it is evaluated.
                self._costs[architecture, budget] = 0
        return self._costs[architecture, budget]


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

    def charge(self, number: int, cost_ns: int) -> None:
        if not self.charged(number):
            self._charged.add(number)
            self.left_ns -= cost_ns
