"""Splits of classes or groups into training, validation and test by a hash of their names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

from nas.task import Split

from .counter_hash import SPLITS

EDGES: Final = (0.0, 0.6, 0.8, 1.0)
"""Places in [0, 1] between which the hashes of a split's names lie: 60 % train, 20 % validation, 20 % test."""


def split_by_hash(names: Iterable[str], least: int) -> Mapping[Split, tuple[str, ...]]:
    """The names of each split, each sorted.

    A name's split is a function of the name alone, so that a new name moves no other, as long as each split gets
    `least` names in this way. Where one gets fewer, it takes those whose hashes are nearest to its own range from the
    split that has most.

    Args:
        names: Distinct names.
        least: Names that each split needs.

    Returns:
        The splits. Some have fewer than `least` names only where there are fewer than three times `least`.
    """
    places = {name: _place(name) for name in names}
    ranges = dict(zip(SPLITS, pairwise(EDGES), strict=True))
    members: dict[Split, list[str]] = {
        split: [name for name, place in places.items() if start <= place < end]
        for split, (start, end) in ranges.items()
    }
    while True:
        short = min(SPLITS, key=lambda split: len(members[split]))
        giver = max(SPLITS, key=lambda split: len(members[split]))
        if len(members[short]) >= least or len(members[giver]) <= max(least, len(members[short]) + 1):
            return {split: tuple(sorted(members[split])) for split in SPLITS}
        start, end = ranges[short]
        nearest = min(members[giver], key=lambda name: max(start - places[name], places[name] - end))
        members[giver].remove(nearest)
        members[short].append(nearest)


def _place(name: str) -> float:
    """A number in [0, 1) that is uniform over names."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48
