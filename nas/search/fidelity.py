"""Asynchronous successive halving, as a pure function of the trials so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ConfigError
from ..trial import Trial
from .rungs import Rungs


@dataclass(frozen=True)
class Fidelity:
    """Rungs of budgets, from each of which only the best candidates are promoted to the next.

    Li et al., A System for Massively Parallel Hyperparameter Tuning, arXiv 1810.05934, algorithm 2.

    Attributes:
        rungs: Number of budgets, at least 1. Each is about `eta` times the one below; the last is the full budget.
        eta: The best 1 / eta of a rung's scored trials are promoted; at least 2.

    Raises:
        ConfigError: A number is out of range.
    """

    rungs: int = 1
    eta: int = 3

    def __post_init__(self) -> None:
        if self.rungs < 1 or self.eta < 2:
            raise ConfigError(f"fidelity rungs = {self.rungs}, eta = {self.eta}; take rungs from 1 and eta from 2")

    def budgets(self, full: int) -> tuple[int, ...]:
        """The rungs' budgets in outer steps, rising to the full one.

        Raises:
            ConfigError: The lowest budget would be below 1.
        """
        budgets = tuple(full // self.eta**rung for rung in reversed(range(self.rungs)))
        if budgets[0] < 1 < self.rungs:
            raise ConfigError(
                f"rungs = {self.rungs} with eta = {self.eta} need a budget of at least {self.eta ** (self.rungs - 1)} "
                f"outer steps, but it is {full}; take fewer rungs, or a larger budget"
            )
        return budgets

    def promotion(self, trials: Iterable[Trial], full: int) -> tuple[Trial, int] | None:
        """The trial to promote next, and its new budget.

        From the highest rung down, it is the best trial (the earliest among equals) among the best 1 / eta of its
        rung's scored trials whose architecture is not on the next rung, whether pending, scored or failed there.
        Duplicates are left out; the paper, with continuous spaces, has none.

        Args:
            trials: All trials of the search.
            full: The full budget in outer steps.

        Returns:
            None where no trial can be promoted yet.
        """
        rungs = self.on_rungs(full)
        for trial in trials:
            rungs.note(trial)
        return rungs.promotion()

    def on_rungs(self, full: int) -> Rungs:
        """The rungs of a search with a full budget in outer steps, without trials."""
        return Rungs(self.budgets(full), self.eta)


ONE_RUNG = Fidelity()
