"""Tables of trained architectures, one a row, read from .npz or .csv files without executing anything.

The architecture of a row stands in one column 'arch' or 'architecture', or in one column for each choice.

- The one column holds the text of the space's `to_text(architecture)`, or the JSON of `Architecture.to_json`.
- A column for a choice has the choice's name, and in each row the option taken, as `str` shows it; it is empty where
  the choice is not made.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..architecture import Architecture
from ..data.numpy_files import MOST_BYTES, read_npz
from ..errors import DataError, SpaceError, shown
from ..protocols.spaces import SearchSpace, TextSpace
from ..regular_files import GIB, open_regular
from .sampling import options_taken

ARCHITECTURE = ("arch", "architecture")
"""Names of the column that holds whole architectures, the first of them in messages."""
MOST = 1e100
"""Largest magnitude of a number in a table; sums of larger ones could overflow."""
MOST_CSV_BYTES = GIB // 2
MOST_CELLS = 20_000_000
"""Maximum size and number of cells of a .csv file; an .npz is smaller."""
UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, csv.Error)
"""Errors of reading a file that is missing, damaged or of another form."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table in memory.

    Attributes:
        path: The file, for messages.
        digest: Digest of the file's content.
        columns: Arrays of shape (rows,), of numbers or texts, by name.
    """

    path: Path
    digest: str
    columns: Mapping[str, NDArray[Any]]

    def value(self, column: str, row: int, *, least: float = -math.inf) -> float:
        """A number of the table.

        Raises:
            DataError: The cell is not a finite number, is below `least`, or exceeds MOST.
        """
        cell = self.columns[column][row]
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{self.path}: column {column!r} has {shown(str(cell))} in row {row + 1}, not a number")
        if abs(value) > MOST:
            raise DataError(f"{self.path}: column {column!r} has {value:g} in row {row + 1}; {MOST:g} is the most")
        if value < least:
            raise DataError(
                f"{self.path}: column {column!r} has {value:g} in row {row + 1}; it must be {least:g} or more"
            )
        return value

    def row(self, space: SearchSpace, architecture: Architecture) -> int:
        """The row of an architecture, from 0.

        Raises:
            DataError: There is none, or more than one.
        """
        if self._named is None:
            made = choices_made(space, architecture)
            names = tuple(sorted(made))
            self._check_choices(space, names)
            rows = _rows_by(self, names).get(tuple(made[name] for name in names), [])
            if len(rows) > 1:
                raise self._twice(rows[0], rows[1])
            row = rows[0] if rows else None
        elif self._is_json:
            row = self._rows_by_key.get(architecture.key)
        else:
            row = self._rows_by_text.get(_text(space, architecture))
        if row is None:
            raise DataError(f"{self.path} has no row of the architecture {shown(dict(architecture.picks))}")
        return row

    @cached_property
    def _named(self) -> Sequence[str] | None:
        """The column that holds whole architectures, or None."""
        column = next((name for name in ARCHITECTURE if name in self.columns), None)
        return None if column is None else [str(cell) for cell in self.columns[column]]

    @cached_property
    def _is_json(self) -> bool:
        return bool(self._named) and self._named[0].lstrip().startswith("{")  # type: ignore[index]  # not None here

    @cached_property
    def _rows_by_text(self) -> dict[str, int]:
        return self._indexed(self._named or ())

    @cached_property
    def _rows_by_key(self) -> dict[str, int]:
        keys = []
        for row, text in enumerate(self._named or ()):
            try:
                keys.append(Architecture.from_json(json.loads(text)).key)
            except (ValueError, RecursionError, SpaceError) as error:
                raise DataError(f"{self.path}: row {row + 1} is of no architecture: {error}") from None
        return self._indexed(keys)

    def _indexed(self, keys: Sequence[str]) -> dict[str, int]:
        rows: dict[str, int] = {}
        for row, key in enumerate(keys):
            if rows.setdefault(key, row) != row:
                raise self._twice(rows[key], row)
        return rows

    def _twice(self, row: int, other: int) -> DataError:
        return DataError(f"{self.path}: rows {row + 1} and {other + 1} are of one architecture; keep one")

    def _check_choices(self, space: SearchSpace, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise DataError(
                f"{self.path} has neither a column {ARCHITECTURE[0]!r} nor one for the choice {missing[0]!r} of "
                f"{space.name!r}; its columns are {shown(list(self.columns))}"
            )


def choices_made(space: SearchSpace, architecture: Architecture) -> dict[str, str]:
    """The option taken in each choice of an architecture, as a text."""
    return {name: str(option) for name, option in options_taken(space, architecture).items()}


@lru_cache(maxsize=256)
def _rows_by(table: Table, names: tuple[str, ...]) -> dict[tuple[str, ...], list[int]]:
    """The rows of each combination of values in the columns `names`."""
    columns = [table.columns[name].tolist() for name in names]
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, cells in enumerate(zip(*columns, strict=True)):
        rows.setdefault(tuple(map(str, cells)), []).append(row)
    return rows


def stamp(path: Path) -> tuple[int, int]:
    """Time of modification in nanoseconds and size in bytes of a file, which change with its content.

    Raises:
        DataError: There is no such file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; give the file of the table") from None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def read_table(path: Path, _stamp: tuple[int, int]) -> Table:
    """The table in a file, cached in this process while the file's `stamp` stays the same.

    Raises:
        DataError: The file cannot be read.
    """
    readers = {".npz": _read_npz, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path} is no table that can be read; give a .npz or .csv file")
    try:
        columns = readers[path.suffix.lower()](path)
        with open_regular(path, MOST_BYTES) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except DataError as error:
        raise DataError(f"{error}; is it the right file, and whole?") from None
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {error}; is it the right file, and whole?") from None
    if not columns or len(next(iter(columns.values()))) == 0:
        raise DataError(f"{path} has no rows")
    return Table(path, digest, columns)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    columns = {
        name: column.astype(str) if column.dtype.kind == "S" and 4 * column.nbytes <= MOST_BYTES else column
        for name, column in read_npz(path).items()
    }
    if any(column.ndim != 1 for column in columns.values()) or len({len(column) for column in columns.values()}) > 1:
        raise ValueError("its arrays are not columns of one length")
    for name, column in columns.items():
        if column.dtype.kind not in "biufU":
            raise ValueError(f"column {name!r} has neither numbers nor texts ({column.dtype})")
    return columns


def _read_csv(path: Path) -> dict[str, NDArray[Any]]:
    with open_regular(path, MOST_CSV_BYTES) as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
        heads: list[str] = next((row for row in reader if row), [])
        rows: list[list[str]] = []
        cells = 0
        for row in filter(None, reader):  # A blank line is no row.
            rows.append(row)
            cells += len(row) + 2
            if cells > MOST_CELLS:
                raise ValueError(f"it has more than {MOST_CELLS:,} cells; save it as .npz")
    if len(set(heads)) < len(heads):
        raise ValueError("two columns have one name")
    for number, row in enumerate(rows, 1):
        if len(row) != len(heads):
            raise ValueError(f"row {number} has {len(row)} cells, the first line {len(heads)}")
    columns = zip(heads, zip(*rows, strict=True), strict=True) if rows else ()
    return {head: _array_of(head, column) for head, column in columns}


def _array_of(head: str, cells: Sequence[str]) -> NDArray[Any]:
    """The cells of a column as an array, in which each has the length of the longest."""
    length = max(map(len, cells))
    if 4 * length * len(cells) > MOST_BYTES:
        raise ValueError(f"column {head!r} has a cell of {length:,} letters, too long beside {len(cells):,} rows")
    return np.array(cells)


def _text(space: SearchSpace, architecture: Architecture) -> str:
    if not isinstance(space, TextSpace):
        raise DataError(
            f"the table names architectures by texts, and space {space.name!r} has no `to_text`; give it one, or write "
            "them as JSON or with a column for each choice"
        )
    return str(space.to_text(architecture))
