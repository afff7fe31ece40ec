"""Trials on the rungs of a search, and which of them is promoted next."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise

from ..architecture import Architecture
from ..trial import Trial


class Rungs:
    """Trials on rungs of rising budgets. To note a trial takes as long with a million trials as with a hundred, nearly.

    Args:
        budgets: The rungs' budgets in outer steps, rising.
        eta: The best 1 / eta of a rung's scored trials are promoted; at least 2.
    """

    def __init__(self, budgets: Sequence[int], eta: int) -> None:
        self._eta = eta
        self._pairs = list(pairwise(budgets))[::-1]
        self._scored: dict[int, list[tuple[float, int]]] = {lower: [] for lower, _ in self._pairs}
        """By budget, (minus the value, number) of the scored trials, sorted."""
        self._waiting: dict[int, list[tuple[float, int]]] = {lower: [] for lower, _ in self._pairs}
        """The same without those that were found to be promoted."""
        self._trials: dict[int, Trial] = {}
        """The waiting trials by number."""
        self._promoted: dict[int, set[Architecture]] = {upper: set() for _, upper in self._pairs}
        """By budget, the architectures that were promoted to it."""

    def note(self, trial: Trial) -> None:
        """Takes up a trial that was added or has ended. Duplicates stand on no rung."""
        if trial.duplicate_of is not None:
            return
        if trial.budget in self._promoted:
            self._promoted[trial.budget].add(trial.architecture)
        if trial.budget in self._scored and trial.state == "done":
            place = -trial.value, trial.number
            insort(self._scored[trial.budget], place)
            insort(self._waiting[trial.budget], place)
            self._trials[trial.number] = trial

    def promotion(self) -> tuple[Trial, int] | None:
        """The trial to promote next and its new budget, as `Fidelity.promotion` says."""
        for lower, upper in self._pairs:
            waiting = self._waiting[lower]
            while waiting and self._trials[waiting[0][1]].architecture in self._promoted[upper]:
                del self._trials[waiting.pop(0)[1]]
            scored = self._scored[lower]
            if waiting and bisect_left(scored, waiting[0]) < len(scored) // self._eta:
                return self._trials[waiting[0][1]], upper
        return None
