"""Rank of trials: best, median, best so far."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from ..errors import SearchError
from ..trial import Trial, without_duplicates

Anytime = tuple[tuple[float, float], ...]
"""(evaluations, best score so far) at each change of the best score, and at the end of the search."""


def rank(trial: Trial) -> tuple[float, float, int]:
    """Sort key of trials, best first: higher budget, then higher score, then earlier number.

    Scores of different budgets are not compared, so that a promoted candidate is better than one that was not
    promoted. Trials without a score come last.
    """
    budget = trial.budget if trial.score is not None else 0
    return -budget, -trial.value, trial.number


def better(leader: Trial | None, trial: Trial) -> Trial:
    """The better of the best trial so far, if there is one, and another trial that is no duplicate."""
    return trial if leader is None else min(leader, trial, key=rank)


def best(trials: Sequence[Trial], count: int = 1) -> list[Trial]:
    """The `count` best trials that have a score, by `rank`, each network once."""
    leaders: dict[str, Trial] = {}
    for trial in sorted((t for t in without_duplicates(trials) if t.state == "done"), key=rank):
        leaders.setdefault(trial.architecture.key, trial)
    return list(leaders.values())[:count]


def leaders(trials: Sequence[Trial], count: int) -> list[Trial]:
    """The `count` best trials, as `best` gives them.

    Raises:
        SearchError: No candidate has a score.
    """
    ranked = best(trials, count)
    if not ranked:
        why = "none could be begun; has search.seconds or wall_clock_s enough for one?"
        if trials:
            why = f"the last (#{trials[-1].number}) failed with {trials[-1].error}"
        raise SearchError(f"no candidate was scored: {why}")
    return ranked


def comparable(trials: Sequence[Trial]) -> list[Trial]:
    """The trials of the lowest budget, which all candidates had, without duplicates."""
    lowest = min((trial.budget for trial in trials), default=0)
    return [trial for trial in without_duplicates(trials) if trial.budget == lowest]


def num_candidates(trials: Sequence[Trial]) -> int:
    """Number of networks that were proposed: neither duplicates, promotions nor retries."""
    return sum(trial.retry_of is None for trial in comparable(trials))


def median(trials: Sequence[Trial]) -> Trial:
    """The trial with the median score of the lowest budget; of an even number, the lower one in the middle."""
    done = comparable([trial for trial in without_duplicates(trials) if trial.state == "done"])
    return sorted(done, key=lambda trial: (trial.value, trial.number))[(len(done) - 1) // 2]


def anytime(trials: Sequence[Trial]) -> Anytime:
    """The best score so far over the number of evaluations; duplicates and pending trials are not counted."""
    ended = [trial for trial in without_duplicates(trials) if trial.state != "pending"]
    so_far = enumerate(itertools.accumulate(ended, better), 1)
    points = [(float(count), leader.value) for count, leader in so_far if leader.score is not None]
    changes = points[:1] + [point for before, point in itertools.pairwise(points) if point[1] != before[1]]
    return tuple(changes if changes[-1:] == points[-1:] else [*changes, points[-1]])


def steps_spent(trials: Iterable[Trial]) -> int:
    """Outer steps that the scored trials took: those of the score, else the whole budget. Duplicates took none."""
    scores = [(trial.score, trial.budget) for trial in without_duplicates(trials) if trial.score is not None]
    return sum(budget if score.outer_steps is None else score.outer_steps for score, budget in scores)
