"""Rungs of a search: how many trials each had, and how well its order agrees with that of the next rung."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..trial import Trial, without_duplicates
from .ranking import rank

FEWEST = 4
"""Trials on both of two rungs that a rank correlation needs."""


@dataclass(frozen=True)
class Rung:
    """Trials of one budget.

    Attributes:
        budget: The budget.
        scored: Number of trials with a score.
        failed: Number of failed trials.
        best: The best trial; None where none has a score.
        promoted: Number of architectures with a score on this rung and on the next.
        tau: Kendall's τ-b of their scores on this rung with those on the next, in [-1, 1]; None for fewer than
            `FEWEST`, and where one of the two orders nothing.
        p_value: Probability of a τ as far from zero, or further, of unrelated scores; None likewise.
    """

    budget: int
    scored: int
    failed: int
    best: Trial | None
    promoted: int = 0
    tau: float | None = None
    p_value: float | None = None


def rungs(trials: Sequence[Trial]) -> list[Rung]:
    """The rungs of a search from the lowest budget; none where all trials have one budget.

    The promoted candidates are the best of their rung, so that their scores differ less, and agree less, than those of
    all candidates would.
    """
    new = without_duplicates(trials)
    budgets = sorted({trial.budget for trial in new})
    if len(budgets) < 2:
        return []
    by_budget = {budget: [trial for trial in new if trial.budget == budget] for budget in budgets}
    pairs = [_rung(by_budget[lower], by_budget[upper]) for lower, upper in pairwise(budgets)]
    return [*pairs, _rung(by_budget[budgets[-1]], [])]


def _rung(trials: Sequence[Trial], above: Sequence[Trial]) -> Rung:
    scored = [trial for trial in trials if trial.score is not None]
    later = {trial.architecture: trial.value for trial in above if trial.score is not None}
    both = [(trial.value, later[trial.architecture]) for trial in scored if trial.architecture in later]
    tau, p_value = _tau(both)
    return Rung(
        budget=trials[0].budget,
        scored=len(scored),
        failed=sum(trial.state == "failed" for trial in trials),
        best=min(scored, key=rank, default=None),
        promoted=len(both),
        tau=tau,
        p_value=p_value,
    )


def _tau(pairs: Sequence[tuple[float, float]]) -> tuple[float | None, float | None]:
    from scipy.stats import kendalltau

    if len(pairs) < FEWEST:
        return None, None
    result = kendalltau(*zip(*pairs, strict=True))
    tau, p_value = float(result.statistic), float(result.pvalue)
    return (None, None) if math.isnan(tau) else (tau, p_value)
