"""Columns of CSV and TSV files: separators, headers and encodings as spreadsheets and programs write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ..errors import DataError, shown
from ..regular_files import GIB, read_bytes

MOST_BYTES: Final = GIB // 2
MOST_MEMORY: Final = 3 * GIB // 2
"""Maximum of the memory that the cells of a file take as texts; equal cells are held once."""
ROW_BYTES: Final = 160
CELL_BYTES: Final = 16
TEXT_BYTES: Final = 60
"""Memory of a row, of a place in it, and of a text besides its letters."""
SEPARATORS: Final = ("\t", ";", ",")
"""Separators in the order in which they are tried."""
MISSING: Final = frozenset({"", "?", "na", "n/a", "nan", "null", "none", "-"})
"""Cells without a value, in lower case."""
UNNAMED: Final = "(unnamed"
"""Beginning of the name of a column without one, as the row numbers of pandas."""
_SAMPLE: Final = 20  # Rows that the separator is found by.

Header = Literal["auto", "yes", "no"]


@dataclass(frozen=True, eq=False)
class TextColumns:
    """The cells of a CSV file.

    Attributes:
        names: Name of each column; its number as text where there is no header.
        cells: Cells of each column, without the blanks around them.
        lines: Line of each row in the file, from 1.
        header: Whether the first line names the columns.
        decimal_comma: Whether a comma in a number is its decimal point.
    """

    names: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    header: bool
    decimal_comma: bool


def read_csv(path: Path, header: Header = "auto") -> TextColumns:
    """The cells of a file whose separator is a tab, a semicolon or a comma.

    With the other separators a comma in a number is its decimal point.

    Args:
        path: The file, in UTF-8, with or without a byte order mark.
        header: Whether the first line names the columns. 'auto': it does where it has no number, or where it is 0, 1,
            2, … besides texts, or where a column has a text in it and numbers below.

    Raises:
        DataError: The file is not UTF-8, has no rows, or has a row of another length; the message names the line.
    """
    rows, lines, separator = _split(_content_of(path), path)
    if not rows:
        raise DataError(f"{path} has no rows")
    width = len(rows[0])
    for cells, line in zip(rows, lines, strict=True):
        if len(cells) != width:
            raise DataError(
                f"{path}, line {line} has {len(cells)} cells, and line {lines[0]} has {width}; give each row as many, "
                "and put texts that hold the separator in quotes"
            )
    comma = separator != ","
    named = header == "yes" or (header == "auto" and _is_header(rows, comma))
    names = _names(path, rows[0]) if named else tuple(map(str, range(width)))
    if named and len(rows) == 1:
        raise DataError(f"{path} has no rows below its header")
    body = rows[1:] if named else rows
    return TextColumns(names, tuple(zip(*body, strict=True)), tuple(lines[len(rows) - len(body) :]), named, comma)


def as_number(cell: str, decimal_comma: bool) -> float:
    """The number in a cell; nan where the cell has no value. Raises ValueError for a text or an infinite number."""
    if cell.lower() in MISSING:
        return float("nan")
    if "_" in cell or not cell.isascii():
        raise ValueError(cell)
    if decimal_comma and "," in cell and "." not in cell:
        cell = cell.replace(",", ".", 1)
    number = float(cell)
    if number in (float("inf"), float("-inf")):
        raise ValueError(cell)
    return number


def _content_of(path: Path) -> bytes:
    content = read_bytes(path, MOST_BYTES)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is in UTF-16; save it as CSV in UTF-8")
    return content


def _split(content: bytes, path: Path) -> tuple[list[list[str]], list[int], str]:
    """The rows without blank ones, the line of each, and the separator."""
    separator = _separator(content)
    rows: list[list[str]] = []
    lines: list[int] = []
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=separator, strict=True)
    known: dict[str, str] = {}
    line, taken = 0, 0
    try:
        for row in reader:
            cells = [known.setdefault(cell, cell) for cell in map(str.strip, row)]
            if any(cells):
                rows.append(cells)
                lines.append(line + 1)
                taken += ROW_BYTES + CELL_BYTES * len(cells)
                if taken + TEXT_BYTES * len(known) > MOST_MEMORY:
                    raise _too_large(path, line + 1)
            line = reader.line_num
    except csv.Error as error:
        raise DataError(f"{path}, line {line + 1} cannot be read as CSV: {error}; check its quotes") from None
    except UnicodeDecodeError:
        raise _not_utf8(path, content) from None
    return rows, lines, separator


def _too_large(path: Path, line: int) -> DataError:
    return DataError(
        f"{path} takes more than {MOST_MEMORY / GIB:g} GiB as texts, from line {line:,} on; save it as .npz or "
        "Parquet, which are smaller, or split it"
    )


def _not_utf8(path: Path, content: bytes) -> DataError:
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        return DataError(
            f"{path}, line {line} is not UTF-8 (byte {byte:#04x}); save the file as CSV in UTF-8, or "
            "convert it: iconv -f WINDOWS-1252 -t UTF-8"
        )
    return DataError(f"{path} is not UTF-8; save the file as CSV in UTF-8")


def _separator(content: bytes) -> str:
    """The first separator by which the first rows have equally many cells, at least two; else a comma."""
    first = content[:100_000].decode("utf-8-sig", errors="ignore").splitlines(keepends=True)[: _SAMPLE + 1]
    first = first[:-1] if len(first) > _SAMPLE else first  # The last may be cut off.
    for separator in SEPARATORS:
        try:
            widths = {len(row) for row in csv.reader(first, delimiter=separator) if any(map(str.strip, row))}
        except csv.Error:
            continue
        if len(widths) == 1 and widths.pop() > 1:
            return separator
    counts = {separator: sum(line.count(separator) for line in first) for separator in SEPARATORS}
    return max(counts, key=lambda separator: (counts[separator], separator == ","))


def _is_header(rows: Sequence[Sequence[str]], comma: bool) -> bool:
    first, body = rows[0], rows[1 : 1 + _SAMPLE]
    numbers = [cell for cell in first if _is_number(cell, comma)]
    if not numbers:
        return any(cell.lower() not in MISSING for cell in first)
    texts = [place for place, cell in enumerate(first) if cell.lower() not in MISSING and not _is_number(cell, comma)]
    counted = numbers in ([str(n) for n in range(len(numbers))], [str(n + 1) for n in range(len(numbers))])
    if counted and len(numbers) > 1 and len(numbers) < len(first):
        return True
    return any(body and all(_is_number(row[place], comma) for row in body) for place in texts)


def _is_number(cell: str, comma: bool) -> bool:
    try:
        return as_number(cell, comma) == as_number(cell, comma)  # not nan
    except ValueError:
        return False


def _names(path: Path, first: Sequence[str]) -> tuple[str, ...]:
    names = [cell or f"{UNNAMED} {place})" for place, cell in enumerate(first)]
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"{path} has two columns of the name {shown(twice[0])}; rename one")
    return tuple(names)
