"""Architectures as rows of whole numbers: the index taken for each choice, and a mark where the choice is not made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from nas.architecture import Architecture

NOT_MADE = -1
Rows = npt.NDArray[np.int32]


class Columns:
    """One column a choice, by name, in the order of first meeting; conditional and unbounded spaces just add some."""

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}

    def meet(self, architectures: Iterable[Architecture]) -> None:
        """Gives a column to each choice that has none yet."""
        for architecture in architectures:
            for name in architecture.picks:
                self._columns.setdefault(name, len(self._columns))

    def rows(self, architectures: Sequence[Architecture]) -> Rows:
        """(architectures, columns); choices that were never met have no column."""
        rows = np.full((len(architectures), len(self._columns)), NOT_MADE, dtype=np.int32)
        for row, architecture in enumerate(architectures):
            for name, index in architecture.picks.items():
                column = self._columns.get(name)
                if column is not None:
                    rows[row, column] = index
        return rows


def unlike(first: Rows, second: Rows) -> npt.NDArray[np.float64]:
    """The fraction of the choices that two architectures make differently, each to each: (first, second) in [0, 1].

    A choice that only one of them makes counts as different; one that neither makes does not count.
    """
    different, made = (np.zeros((len(first), len(second))) for _ in range(2))
    for one, other in zip(first.T, second.T, strict=True):
        a, b = one[:, None], other[None, :]
        different += a != b
        made += (a != NOT_MADE) | (b != NOT_MADE)
    return different / np.maximum(made, 1)


def apart(first: Rows, second: Rows, largest: Rows) -> npt.NDArray[np.float64]:
    """The same for options that come in an order: how far apart two indices are, in [0, 1] of the `largest` index.

    `largest` is (columns,). A choice that only one of them makes is as far apart as can be.
    """
    distance, made = (np.zeros((len(first), len(second))) for _ in range(2))
    for one, other, most in zip(first.T, second.T, largest, strict=True):
        a, b = one[:, None], other[None, :]
        both = (a != NOT_MADE) & (b != NOT_MADE)
        either = (a != NOT_MADE) | (b != NOT_MADE)
        distance += np.where(both, np.abs(a - b) / max(int(most), 1), either)
        made += either
    return distance / np.maximum(made, 1)
