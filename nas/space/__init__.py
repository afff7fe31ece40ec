"""Operations on search spaces: sampling, mutation, enumeration, counting."""

from ..choose import MAX_CHOICES, Choose, Pick
from .enumeration import Count, all_ends, count, enumerate_all, neighbours, sample_uniformly
from .sampling import (
    MAX_TRIES,
    Step,
    any_other,
    at_random,
    crossover,
    decide,
    mutate,
    num_options,
    options_taken,
    replay,
    sample,
)

__all__ = [
    "MAX_CHOICES",
    "MAX_TRIES",
    "Choose",
    "Count",
    "Pick",
    "Step",
    "all_ends",
    "any_other",
    "at_random",
    "count",
    "crossover",
    "decide",
    "enumerate_all",
    "mutate",
    "neighbours",
    "num_options",
    "options_taken",
    "replay",
    "sample",
    "sample_uniformly",
]
