"""How far apart architectures are, as the predictor sees them: by the choices that they make."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from nas.architecture import Architecture
from nas.failures import attempt
from nas.protocols import SearchSpace
from nas.space.identity import of_graph

if TYPE_CHECKING:
    import networkx as nx

NOT_MADE = -1
LONGEST = 3
WIDTH = 1024
MOST_COUNTED = 255
KEPT = 2**14
"""Architectures whose counts are remembered: more than NAS-Bench-201 has, and 40 MB at the most."""
Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int32]
Counts = npt.NDArray[np.uint8]


class Encoding(Protocol):
    """What the predictor compares architectures by."""

    @property
    def measures(self) -> int:
        """How many measures of distance it has."""
        ...

    def add(self, architecture: Architecture) -> None:
        """One more was told."""
        ...

    def rows(self, architectures: Sequence[Architecture]) -> npt.NDArray[Any]:
        """What `distance` goes by, a row an architecture. Another set of rows once more was told."""
        ...

    def distance(self, measure: int, told: npt.NDArray[Any], new: npt.NDArray[Any]) -> Array:
        """By one of the measures, from the rows of some that were told to those of `new` ones: (told, new) in [0, 1].

        Told ones may be new ones too."""
        ...


class Choices:
    """By the choices made: the index taken for each, by name, in the order of first meeting. Conditional and unbounded
    spaces just add some. Two measures: `unlike` for options that are names, `apart` for options in an order. A choice
    that was never told does not count."""

    measures = 2

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}

    def add(self, architecture: Architecture) -> None:
        for name in architecture.picks:
            self._columns.setdefault(name, len(self._columns))

    def rows(self, architectures: Sequence[Architecture]) -> Rows:
        """(architectures, columns)"""
        rows = np.full((len(architectures), len(self._columns)), NOT_MADE, dtype=np.int32)
        for row, architecture in zip(rows, architectures, strict=True):
            known = {self._columns[name]: i for name, i in architecture.picks.items() if name in self._columns}
            row[list(known)] = list(known.values())
        return rows

    def distance(self, measure: int, told: Rows, new: Rows) -> Array:
        """As said of an Encoding."""
        options = told.max(axis=0, initial=0) + 1
        return (unlike, apart)[measure](told, new, options)


class Paths:
    """By the operations that follow each other in the cells' graphs, in sequences of at most `LONGEST`: one measure, 1
    less the cosine of the angle between the square roots of their counts. Equal networks are at no distance.

    Path encodings: White et al., "BANANAS" (2021), arXiv 1910.11858, section 3.2; here short ones, that many cells
    share. For a space that draws graphs (`nas.space.graph`); raises SpaceError where it draws a bad one.
    """

    measures = 1

    def __init__(self, space: SearchSpace) -> None:
        hashable = attempt(hash, space).error is None
        self._counts = partial(remembered_counts, space) if hashable else lru_cache(KEPT)(partial(walk_counts, space))

    def add(self, architecture: Architecture) -> None:
        """Counts are found when they are asked for."""

    def rows(self, architectures: Sequence[Architecture]) -> Counts:
        """(architectures, WIDTH)"""
        return np.array([self._counts(architecture) for architecture in architectures])

    def distance(self, measure: int, told: Counts, new: Counts) -> Array:
        """As said of an Encoding."""
        return np.clip(np.round(1 - _cosines(told, new), 12), 0, 1)


def walk_counts(space: SearchSpace, architecture: Architecture) -> Counts:
    """How often the graph's sequences of operations occur, (WIDTH,): each counts at a place that is a hash of it.

    Feature hashing: Weinberger et al. (2009), arXiv 0902.2206.
    """
    at: dict[int, int] = {}
    for walk, times in (of_graph(space, architecture, _walks) or {}).items():
        place = zlib.crc32("\0".join(walk).encode()) % WIDTH
        at[place] = at.get(place, 0) + times
    counts = np.zeros(WIDTH, dtype=np.uint8)
    counts[list(at)] = [min(times, MOST_COUNTED) for times in at.values()]
    counts.setflags(write=False)
    return counts


remembered_counts = cast("Callable[[SearchSpace, Architecture], Counts]", lru_cache(KEPT)(walk_counts))
"""The same of a space that can be hashed: the searches of a comparison draw equal architectures over and over."""


def _walks(graph: nx.DiGraph) -> Mapping[tuple[str, ...], int]:
    from nas.space.graph import walks  # networkx takes a moment to import

    return walks(graph, LONGEST)


def _cosines(first: Counts, second: Counts) -> Array:
    """Of the angles between the square roots of counts, each to each: (first, second); 1 between two without counts."""
    used = first.any(axis=0)
    shared = np.sqrt(first[:, used], dtype=np.float64) @ np.sqrt(second[:, used], dtype=np.float64).T
    a, b = (counts.sum(axis=1, dtype=np.float64) for counts in (first, second))
    neither = (a[:, None] == 0) & (b[None, :] == 0)
    cosines: Array = np.where(neither, 1.0, shared / np.sqrt(np.maximum(np.outer(a, b), 1)))
    return cosines


def unlike(first: Rows, second: Rows, options: Rows) -> Array:
    """The fraction of the choices that two architectures make differently, each to each: (first, second) in [0, 1].

    `options` is (columns,): how many indices `first` may hold. A choice that only one of them makes counts as
    different; one that neither makes does not count.
    """
    either = _either(first, second)
    equal = _marks(first, options) @ _marks(second, options).T
    return (either - equal) / np.maximum(either, 1)


def apart(first: Rows, second: Rows, options: Rows) -> Array:
    """The same for options that come in an order: how far apart two indices are, in [0, 1] of the largest of `first`.

    A choice that only one of them makes is as far apart as can be; an index above the largest counts as that.
    """
    largest = np.maximum(options - 1, 1)
    either, both = _either(first, second), _made(first) @ _made(second).T
    # Of two numbers a, b of ones at the left of a row: |a - b| = a + b - 2 * the ones that they share.
    a, b = _shares(first, largest), _shares(second, largest)
    weights = np.repeat(1 / largest, options)
    shared = (_marks(first, options, below=largest) * weights) @ _marks(second, options, below=largest).T
    gaps = a @ _made(second).T + _made(first) @ b.T - 2 * shared
    # What rounding leaves of a difference of nothing is nothing.
    distance: Array = np.clip(np.round((gaps + either - both) / np.maximum(either, 1), 12), 0, 1)
    return distance


def _made(rows: Rows) -> Array:
    made: Array = (rows != NOT_MADE).astype(np.float64)
    return made


def _either(first: Rows, second: Rows) -> Array:
    """How many choices one or both make."""
    a, b = _made(first), _made(second)
    counts: Array = a.sum(axis=1)[:, None] + b.sum(axis=1)[None, :] - a @ b.T
    return counts


def _shares(rows: Rows, largest: Rows) -> Array:
    """Each index as a fraction of the largest; 0 where the choice is not made."""
    shares: Array = np.clip(rows, 0, largest) / largest
    return shares


def _marks(rows: Rows, options: Rows, *, below: Rows | None = None) -> Array:
    """(rows, sum of options): for each choice a one at its index; or, with `below`, one for each number under it and
    under its column's `below`."""
    columns = np.repeat(np.arange(len(options)), options)
    numbers = np.arange(len(columns)) - np.repeat(np.cumsum(options) - options, options)
    taken = rows[:, columns]
    found = numbers == taken if below is None else numbers < np.minimum(taken, below[columns])
    marks: Array = found.astype(np.float64)
    return marks
