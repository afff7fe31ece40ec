"""Diversity and age of a population of trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from nas.trial import Trial


def population_measurements(population: Sequence[Trial], latest: int) -> dict[str, float]:
    """Numbers about a population.

    Args:
        population: Its trials.
        latest: The largest number of a trial that was told.

    Returns:
        'age', the mean number of trials that were proposed after a member; with two members or more 'diversity', the
        mean number of choices in which two members differ. Both are absent where they are not defined.
    """
    measured = {"age": latest - fmean(trial.number for trial in population)} if population else {}
    if len(population) > 1:
        measured["diversity"] = _diversity(population)
    return measured


def _diversity(population: Sequence[Trial]) -> float:
    """Mean over all pairs of the number of choices that only one of two makes or in which they take other options.

    Pairs that agree are counted for each choice, which takes a time linear in the population.
    """
    picks = [trial.architecture.picks for trial in population]
    pairs = len(picks) * (len(picks) - 1) / 2
    agreeing = 0.0
    names = set().union(*picks)
    for name in names:
        counts = Counter(each.get(name) for each in picks)
        agreeing += sum(count * (count - 1) / 2 for count in counts.values())
    return len(names) - agreeing / pairs
