"""Rank of trials: best, median, best so far."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from ..errors import SearchError
from ..trial import Trial, without_duplicates


def anytime(trials: Sequence[Trial]) -> list[list[float]]:
    """[evaluations, best score so far], where the best changes, and at the end; repeats are no evaluations.

    Scores of a higher budget are better than those of a lower one, as everywhere.
    """
    ended = [trial for trial in without_duplicates(trials) if trial.state != "pending"]
    ranks = ((trial.budget, trial.value) if trial.score is not None else (0, 0.0) for trial in ended)
    points = [[float(count), best[1]] for count, best in enumerate(itertools.accumulate(ranks, max), 1) if best[0]]
    found = points[:1] + [point for before, point in itertools.pairwise(points) if point[1] != before[1]]
    return found if found[-1:] == points[-1:] else [*found, points[-1]]


def comparable(trials: Sequence[Trial]) -> list[Trial]:
    """The trials of the lowest budget, which all candidates had, without repeats."""
    lowest = min((trial.budget for trial in trials), default=0)
    return [trial for trial in without_duplicates(trials) if trial.budget == lowest]


def best(trials: Sequence[Trial], count: int = 1) -> list[Trial]:
    """The done trials with the highest scores, one a network; earlier ones first among equals.

    Scores of different budgets are not compared: what was promoted to a higher one is better than what was not.
    """
    ranked = sorted(
        (t for t in without_duplicates(trials) if t.state == "done"), key=lambda t: (-t.budget, -t.value, t.number)
    )
    leaders: dict[str, Trial] = {}
    for trial in ranked:
        leaders.setdefault(trial.architecture.key, trial)
    return list(leaders.values())[:count]


def leaders(trials: Sequence[Trial], count: int) -> list[Trial]:
    """As `best`. Raises SearchError where no candidate was scored."""
    found = best(trials, count)
    if not found:
        why = "none could be begun; has search.seconds enough for one?"
        if trials:
            why = f"the last (#{trials[-1].number}) failed with {trials[-1].error}"
        raise SearchError(f"no candidate was scored: {why}")
    return found


def median(trials: Sequence[Trial]) -> Trial:
    """The done trial with the median score of the lowest budget, which all candidates had, each network once; of an
    even number, the lower one in the middle."""
    done = [trial for trial in without_duplicates(trials) if trial.state == "done"]
    lowest = min(trial.budget for trial in done)
    ranked = sorted((t for t in done if t.budget == lowest), key=lambda t: (t.value, t.number))
    return ranked[(len(ranked) - 1) // 2]


def steps_spent(trials: Iterable[Trial]) -> int:
    """Outer steps that the scored trials took: what a score says under 'outer_steps', else the whole budget. A repeat
    took none."""
    scores = [(t.score, t.budget) for t in without_duplicates(trials) if t.score is not None]
    return int(sum(score.metrics.get("outer_steps", budget) for score, budget in scores))
