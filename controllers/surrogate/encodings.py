"""Encodings of architectures by choices and by paths, with distances between them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from nas.architecture import Architecture
from nas.protocols import SearchSpace
from nas.space.identity import of_graph

if TYPE_CHECKING:
    import networkx as nx

NOT_MADE = -1
"""Index of a choice that an architecture does not make."""
LONGEST_PATH = 3
"""Largest number of operations in a counted sequence."""
WIDTH = 1024
"""Number of features that sequences are hashed to."""
LARGEST_COUNT = 255
"""Counts are clipped here, so that each fits into 8 bits."""
MOST_CACHED = 2**14
"""Architectures whose path counts are cached: more than NAS-Bench-201 has, and at most 40 MB."""
Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int32]
Counts = npt.NDArray[np.uint8]


class Encoding(Protocol):
    """Features of architectures with one or more measures of distance, for the kernels of the predictor."""

    @property
    def measures(self) -> int:
        """Number of measures of distance."""
        ...

    def add(self, architecture: Architecture) -> None:
        """Adds the architecture of a scored trial; rows that were computed before no longer hold."""
        ...

    def rows(self, architectures: Sequence[Architecture]) -> npt.NDArray[Any]:
        """Features of architectures, (architectures, features)."""
        ...

    def distance(self, measure: int, known: npt.NDArray[Any], new: npt.NDArray[Any]) -> Array:
        """Pairwise distances by one measure.

        Args:
            measure: Number of the measure, in [0, `measures`).
            known: Rows of architectures that were added, (known, features).
            new: Rows of any architectures, (new, features).

        Returns:
            Distances in [0, 1], (known, new).
        """
        ...


class Choices:
    """Encoding by the index taken for each choice, with two measures.

    `categorical_distance` suits options that are names, `ordinal_distance` options in an order. Columns are choices by
    name in the order of first occurrence, so conditional and unbounded spaces may add columns during a search. A
    choice that no added architecture makes does not count.
    """

    measures = 2

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}

    def add(self, architecture: Architecture) -> None:
        """See `Encoding.add`."""
        for name in architecture.picks:
            self._columns.setdefault(name, len(self._columns))

    def rows(self, architectures: Sequence[Architecture]) -> Rows:
        """Indices of the options taken, (architectures, choices); `NOT_MADE` where a choice is not made."""
        rows = np.full((len(architectures), len(self._columns)), NOT_MADE, dtype=np.int32)
        for row, architecture in zip(rows, architectures, strict=True):
            indices = {self._columns[name]: i for name, i in architecture.picks.items() if name in self._columns}
            row[list(indices)] = list(indices.values())
        return rows

    def distance(self, measure: int, known: Rows, new: Rows) -> Array:
        """See `Encoding.distance`."""
        options = known.max(axis=0, initial=0) + 1
        return (categorical_distance, ordinal_distance)[measure](known, new, options)


class Paths:
    """Encoding by the sequences of operations on paths of the cells' graphs, with one measure.

    The distance is 1 less the cosine of the angle between the square roots of the counts of sequences of at most
    `LONGEST_PATH` operations; equal networks are at distance 0. Path encodings: White et al., "BANANAS" (2021),
    arXiv 1910.11858, section 3.2; here of short paths, which many cells share.

    Args:
        space: A space that draws graphs (`nas.space.graph`).

    Raises:
        SpaceError: In `rows`, where the space draws a bad graph.
    """

    measures = 1

    def __init__(self, space: SearchSpace) -> None:
        self._counts: Callable[[Architecture], Counts]
        try:
            hash(space)
        except TypeError:
            self._counts = lru_cache(MOST_CACHED)(partial(path_counts, space))
        else:
            self._counts = partial(cached_path_counts, space)

    def add(self, architecture: Architecture) -> None:
        """See `Encoding.add`; counts are computed when they are needed."""

    def rows(self, architectures: Sequence[Architecture]) -> Counts:
        """Hashed counts of the sequences, (architectures, WIDTH)."""
        return np.array([self._counts(architecture) for architecture in architectures])

    def distance(self, measure: int, known: Counts, new: Counts) -> Array:
        """See `Encoding.distance`."""
        return np.clip(np.round(1 - _cosines(known, new), 12), 0, 1)


def path_counts(space: SearchSpace, architecture: Architecture) -> Counts:
    """Counts of the graph's sequences of operations by feature hashing, (WIDTH,), each at most `LARGEST_COUNT`.

    Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (arXiv 0902.2206).
    """
    hashed: dict[int, int] = {}
    for path, count in (of_graph(space, architecture, _paths) or {}).items():
        index = zlib.crc32("\0".join(path).encode()) % WIDTH
        hashed[index] = hashed.get(index, 0) + count
    counts = np.zeros(WIDTH, dtype=np.uint8)
    counts[list(hashed)] = [min(count, LARGEST_COUNT) for count in hashed.values()]
    counts.setflags(write=False)
    return counts


cached_path_counts = cast("Callable[[SearchSpace, Architecture], Counts]", lru_cache(MOST_CACHED)(path_counts))
"""`path_counts` for hashable spaces: the searches of a comparison draw equal architectures again and again."""


def _paths(graph: nx.DiGraph) -> Mapping[tuple[str, ...], int]:
    from nas.space.graph import walks  # imports networkx

    return walks(graph, LONGEST_PATH)


def _cosines(first: Counts, second: Counts) -> Array:
    """Cosines of the angles between the square roots of counts, (first, second); 1 between two without counts."""
    used = first.any(axis=0)
    products = np.sqrt(first[:, used], dtype=np.float64) @ np.sqrt(second[:, used], dtype=np.float64).T
    a, b = (counts.sum(axis=1, dtype=np.float64) for counts in (first, second))
    neither = (a[:, None] == 0) & (b[None, :] == 0)
    cosines: Array = np.where(neither, 1.0, products / np.sqrt(np.maximum(np.outer(a, b), 1)))
    return cosines


def categorical_distance(first: Rows, second: Rows, options: Rows) -> Array:
    """Fraction of the choices that two architectures make differently.

    A choice that only one of them makes counts as different; one that neither makes does not count.

    Args:
        first: Rows of `Choices`, (first, choices).
        second: Rows of `Choices`, (second, choices).
        options: Exclusive upper bounds of the indices in `first`, (choices,).

    Returns:
        Distances in [0, 1], (first, second).
    """
    either = _made_by_either(first, second)
    equal = _one_hot(first, options) @ _one_hot(second, options).T
    return (either - equal) / np.maximum(either, 1)


def ordinal_distance(first: Rows, second: Rows, options: Rows) -> Array:
    """Mean difference of the indices that two architectures take, as fractions of the largest index in `first`.

    A choice that only one of them makes has difference 1; an index above the largest counts as the largest. Arguments
    and result are shaped as those of `categorical_distance`.
    """
    largest = np.maximum(options - 1, 1)
    either, both = _made_by_either(first, second), _made(first) @ _made(second).T
    # In unary code, |a - b| = a + b - 2 min(a, b), and min(a, b) is the number of ones that a and b share.
    a, b = _fractions(first, largest), _fractions(second, largest)
    weights = np.repeat(1 / largest, options)
    shared = (_unary(first, options, largest) * weights) @ _unary(second, options, largest).T
    differences = a @ _made(second).T + _made(first) @ b.T - 2 * shared
    # Rounding removes what floating-point errors leave of a difference of zero.
    distance: Array = np.clip(np.round((differences + either - both) / np.maximum(either, 1), 12), 0, 1)
    return distance


def _made(rows: Rows) -> Array:
    made: Array = (rows != NOT_MADE).astype(np.float64)
    return made


def _made_by_either(first: Rows, second: Rows) -> Array:
    """Number of choices that one or both make, (first, second)."""
    a, b = _made(first), _made(second)
    counts: Array = a.sum(axis=1)[:, None] + b.sum(axis=1)[None, :] - a @ b.T
    return counts


def _fractions(rows: Rows, largest: Rows) -> Array:
    """Each index as a fraction of the largest; 0 where the choice is not made."""
    fractions: Array = np.clip(rows, 0, largest) / largest
    return fractions


def _one_hot(rows: Rows, options: Rows) -> Array:
    """One-hot code of each index, (rows, sum of options)."""
    columns, numbers = _option_columns(options)
    code: Array = (numbers == rows[:, columns]).astype(np.float64)
    return code


def _unary(rows: Rows, options: Rows, largest: Rows) -> Array:
    """Unary code of each index, at most the largest: a one for each smaller number, (rows, sum of options)."""
    columns, numbers = _option_columns(options)
    code: Array = (numbers < np.minimum(rows[:, columns], largest[columns])).astype(np.float64)
    return code


def _option_columns(options: Rows) -> tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.integer[Any]]]:
    """Choice and index of every option of all choices, (sum of options,) each."""
    columns = np.repeat(np.arange(len(options)), options)
    return columns, np.arange(len(columns)) - np.repeat(np.cumsum(options) - options, options)
