"""Cheap scores first: asynchronous successive halving, as a pure function of the trials so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..architecture import Architecture
from ..errors import ConfigError
from ..protocols import Resumable
from ..trial import Score, Trial, without_duplicates


@dataclass(frozen=True)
class Fidelity:
    """Rungs of budgets, of which only the best candidates climb to the next (Li et al., A System for Massively Parallel
    Hyperparameter Tuning, arXiv 1810.05934, algorithm 2).

    rungs  budgets, each about `eta` times the one below, the last the full one; 1: all candidates have the full one
    eta    of the scored trials of a rung the best 1 / eta climb
    """

    rungs: int = 1
    eta: int = 3

    def __post_init__(self) -> None:
        if self.rungs < 1 or self.eta < 2:
            raise ConfigError(f"fidelity rungs = {self.rungs}, eta = {self.eta}; take rungs from 1 and eta from 2")

    def budgets(self, full: int) -> tuple[int, ...]:
        """The rungs' budgets, rising, up to the full one. Raises ConfigError where the lowest would be below 1."""
        budgets = tuple(full // self.eta**rung for rung in reversed(range(self.rungs)))
        if budgets[0] < 1 < self.rungs:
            raise ConfigError(
                f"rungs = {self.rungs} with eta = {self.eta} need a budget of at least {self.eta ** (self.rungs - 1)} "
                f"outer steps, but it is {full}; take fewer rungs, or a larger budget"
            )
        return budgets

    def promotion(self, trials: Iterable[Trial], full: int) -> tuple[Trial, int] | None:
        """The trial to promote next and the budget for it, or None where no trial may climb yet.

        From the highest rung down, the best trial, the earliest among equals, that is of the best 1 / eta of its rung's
        scored trials and whose architecture is not on the next rung: waiting there, scored or failed. A network
        proposed twice is on its rung once; the paper, with its continuous spaces, has no such case.
        """
        known = without_duplicates(trials)
        for lower, upper in reversed(list(pairwise(self.budgets(full)))):
            there = {trial.architecture for trial in known if trial.budget == upper}
            scored = (trial for trial in known if trial.budget == lower and trial.state == "done")
            rung = sorted(scored, key=lambda trial: (-trial.value, trial.number))
            for trial in rung[: len(rung) // self.eta]:
                if trial.architecture not in there:
                    return trial, upper
        return None


ONE_RUNG = Fidelity()


@dataclass(frozen=True)
class Checkpointed:
    """An evaluator whose candidates go on from where they were left on the rung below, with a file each in `folder`.

    schedule  the full budget: outer steps of a training that climbs to the top
    """

    evaluator: Resumable
    schedule: int
    folder: Path

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        """What the evaluator's `advance` gives, and what it raises."""
        checkpoint = self.folder / f"{architecture.key}-seed{seed}.safetensors"
        return self.evaluator.advance(architecture, budget, seed, schedule=self.schedule, checkpoint=checkpoint)
