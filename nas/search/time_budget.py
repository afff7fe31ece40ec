"""What a search has left of the seconds that it was given."""

from __future__ import annotations

import math

from ..architecture import Architecture
from ..errors import NasError
from ..protocols import Evaluator, Tabled
from ..trial import Score, Trial

NS = 1_000_000_000


class TimeBudget:
    """`seconds` for evaluations, summed over them. In whole nanoseconds, so that no order of adding up changes the sum.

    Of a `Tabled` evaluator a trial is paid when it is begun, of any
    other when it has ended, with what it took. Repeats cost nothing.
    """

    def __init__(self, evaluator: Evaluator, seconds: float) -> None:
        self._table = evaluator if isinstance(evaluator, Tabled) else None
        self._limit = math.inf if seconds == math.inf else round(seconds * NS)
        self._paid: dict[int, int] = {}
        self._sum = 0

    def holds(self, architecture: Architecture, budget: int, running_s: float) -> bool:
        """Whether an evaluation may begin: whether there is enough for it or, where its price is not known, any left
        beside the seconds that running ones have taken so far."""
        if self._limit == math.inf:
            return True
        if self._table is not None:
            return self._sum + self._price(self._table, architecture, budget) <= self._limit
        return self._sum + running_s * NS < self._limit

    def note(self, trial: Trial) -> None:
        """Takes what a trial costs, once, when it is known."""
        if self._limit == math.inf or trial.duplicate_of is not None or trial.number in self._paid:
            return
        if self._table is not None:
            self._pay(trial, self._price(self._table, trial.architecture, trial.budget))
        elif trial.state != "pending":
            self._pay(trial, round((trial.seconds or 0.0) * NS))

    def took(self, trial: Trial, score: Score | None, elapsed_s: float) -> float:
        """The seconds of a trial that ended: in a table those that its score says or, where it failed, its price."""
        if self._table is None:
            return elapsed_s
        if score is not None:
            return score.metrics.get("seconds", 0.0)
        return self._price(self._table, trial.architecture, trial.budget) / NS

    def _pay(self, trial: Trial, price: int) -> None:
        self._paid[trial.number] = price
        self._sum += price

    @staticmethod
    def _price(table: Tabled, architecture: Architecture, budget: int) -> int:
        try:
            return round(table.seconds(architecture, budget) * NS)
        except NasError:
            return 0  # what is not in the table fails when it is evaluated, and says why; a table may know no seconds
