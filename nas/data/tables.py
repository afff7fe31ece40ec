"""Tables of a person's own data: CSV, TSV, .npy, .npz and Parquet files, read into columns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, nearest, shown
from ..failures import attempt, reason
from ..regular_files import check_regular
from . import numpy_files
from .csv_files import MISSING, Header, as_number, read_csv

TEXTS: Final = (".csv", ".tsv", ".txt")
PARQUET: Final = (".parquet", ".pq")
SUFFIXES: Final = (*TEXTS, ".npz", ".npy", *PARQUET)
"""Suffixes of the files that are read, in lower case."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length.

    Attributes:
        path: The file, for messages.
        columns: Columns by name, each (rows, …): numbers, or an object array of texts; a column of an .npz may have
            further dimensions.
        lines: Number of each row in messages: its line in a text file, else its row, from 1.
        header: Whether the columns have names of their own, not numbers.
        decimal_comma: Whether a comma in a text is a number's decimal point.
    """

    path: Path
    columns: Mapping[str, NDArray[Any]]
    lines: Sequence[int]
    header: bool = True
    decimal_comma: bool = False

    def __len__(self) -> int:
        return len(self.lines)

    def name(self, column: str | int, option: str) -> str:
        """The name of a column that an option names, or numbers from 0; -1 is the last.

        Raises:
            ConfigError: There is no such column.
        """
        names = list(self.columns)
        if isinstance(column, int):
            if -len(names) <= column < len(names):
                return names[column]
            raise ConfigError(f"{option} = {column}: {self.path} has columns 0 to {len(names) - 1}")
        if column in names:
            return column
        raise ConfigError(f"{option} = {shown(column)}: {self.path} has no such column; {nearest(column, names)}")

    def where(self, row: int, name: str) -> str:
        """A cell in messages."""
        unit = "line" if self.path.suffix.lower() in TEXTS else "row"
        return f"{self.path}, {unit} {self.lines[row]}, column {name!r}"

    def texts(self, name: str) -> list[str]:
        """A column as texts, '' where there is no value.

        Raises:
            DataError: The column has several values in a row.
        """
        column = self.columns[name]
        if column.ndim != 1:
            raise DataError(f"{self.path}: {name!r} has shape {column.shape}; a column of one value a row is needed")
        if column.dtype == object:
            return ["" if cell.lower() in MISSING else cell for cell in column.tolist()]
        return ["" if cell != cell else str(cell) for cell in column.tolist()]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column as numbers, (rows, …), nan where there is no value.

        Raises:
            DataError: A cell is a text or infinite; the message names line and column.
        """
        column = self.columns[name]
        if column.dtype != object:
            values = column.astype(np.float64)
            if np.isinf(values).any():
                row = int(np.isinf(values).reshape(len(values), -1).any(axis=1).argmax())
                raise DataError(f"{self.where(row, name)} is infinite; leave the row out, or correct it")
            return values
        numbers = np.empty(len(column))
        for row, cell in enumerate(column.tolist()):
            try:
                numbers[row] = as_number(cell, self.decimal_comma)
            except ValueError:
                raise DataError(
                    f"{self.where(row, name)} is {shown(cell)}, not a finite number; correct it or leave the column out"
                ) from None
        return numbers

    def is_numeric(self, name: str) -> bool:
        """Whether all values of a column are finite numbers, and there is at least one."""
        try:
            return not np.isnan(self.numbers(name)).all()
        except DataError:
            return False


def read_table(path: Path | str, header: Header = "auto") -> Table:
    """Reads a table, once in a process as long as the file does not change.

    Args:
        path: A .csv, .tsv or .txt with a tab, semicolon or comma between cells; an .npz with arrays of equally many
            rows; a .npy with rows of numbers, or a structured array; a Parquet file. The case of the suffix is
            ignored.
        header: As for `csv_files.read_csv`.

    Raises:
        DataError: The file is missing, damaged, too large or of another form.
    """
    file = Path(path).expanduser().absolute()
    check_regular(file, numpy_files.MOST_BYTES)
    status = file.stat()
    return _read(file, header, (status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=4)
def _read(path: Path, header: Header, _stamp: tuple[int, int]) -> Table:
    suffix = path.suffix.lower()
    if suffix in TEXTS:
        text = read_csv(path, header)
        columns = {name: _objects(cells) for name, cells in zip(text.names, text.cells, strict=True)}
        return Table(path, columns, text.lines, text.header, text.decimal_comma)
    readers = {".npz": numpy_files.read_npz, ".npy": _npy_columns, **dict.fromkeys(PARQUET, _parquet_columns)}
    if suffix not in readers:
        raise DataError(f"{path} is of no kind that is read; give one of {' '.join(SUFFIXES)}")
    columns = {name: _plain(path, name, column) for name, column in readers[suffix](path).items()}
    if not columns or min(map(len, columns.values())) == 0:
        raise DataError(f"{path} has no rows")
    rows = {name: len(column) for name, column in columns.items()}
    if len(set(rows.values())) > 1:
        raise DataError(f"{path} has columns of unlike lengths: {shown(rows)}; each needs a value for each row")
    return Table(path, columns, range(1, 1 + next(iter(rows.values()))), header=not _is_matrix(columns))


def digest_of(*arrays: NDArray[Any]) -> str:
    """Digest of the content of arrays of numbers, 16 hexadecimal digits."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(repr((array.shape, array.dtype.str)).encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:16]


def _npy_columns(path: Path) -> dict[str, NDArray[Any]]:
    array = numpy_files.read_npy(path)
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim == 2:
        return {str(place): array[:, place] for place in range(array.shape[1])}
    raise DataError(f"{path} has shape {array.shape}; a table needs rows and columns (save images and labels as .npz)")


def _parquet_columns(path: Path) -> dict[str, NDArray[Any]]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(
            f"{path} is a Parquet file, which needs pyarrow: pip install 'adaptnas[parquet]', or save it as CSV"
        ) from None
    metadata = attempt(parquet.read_metadata, path)
    if metadata.error is None:
        claimed = sum(metadata.value.row_group(i).total_byte_size for i in range(metadata.value.num_row_groups))
        cells = metadata.value.num_rows * metadata.value.num_columns * 8
        if max(claimed, cells) > numpy_files.MOST_BYTES:
            raise DataError(f"{path} would take {max(claimed, cells) / 2**30:.1f} GiB of memory; split it")
    read = attempt(lambda: parquet.read_table(path, memory_map=False))  # pyarrow has errors of its own
    if read.error is not None:
        raise DataError(f"{path} cannot be read as Parquet: {reason(read.error)}")
    columns: dict[str, NDArray[Any]] = {}
    for name, column in zip(read.value.column_names, read.value.columns, strict=True):
        if name in columns:
            raise DataError(f"{path} has two columns of the name {shown(name)}; rename one")
        kind = column.type
        if pyarrow.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        plain = any(getattr(pyarrow.types, f"is_{each}")(kind) for each in ("integer", "floating", "boolean"))
        values = column.to_pylist()
        if plain and None not in values:
            columns[name] = np.array(values)
        else:
            columns[name] = _objects(["" if value is None else str(value) for value in values])
    return columns


def _plain(path: Path, name: str, column: NDArray[Any]) -> NDArray[Any]:
    """A column of numbers, or an object array of texts."""
    if column.ndim == 0:
        raise DataError(f"{path}: {name!r} is a single value; each array needs a value for each row")
    if column.dtype.kind in "SU":
        texts = attempt(column.astype, str)
        if texts.error is not None:
            raise DataError(f"{path}: {name!r} holds texts that are not ASCII as bytes; save it as texts")
        return np.array([cell.strip() for cell in texts.value.ravel().tolist()], dtype=object).reshape(column.shape)
    if column.dtype.kind in "biuf" or column.dtype == object:
        return column
    raise DataError(f"{path}: {name!r} has neither numbers nor texts ({column.dtype})")


def _objects(cells: Sequence[str]) -> NDArray[Any]:
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


def _is_matrix(columns: Mapping[str, NDArray[Any]]) -> bool:
    return list(columns) == [str(place) for place in range(len(columns))]
