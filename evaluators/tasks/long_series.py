"""Time series with channels of unequal length, and tables of them with one value in each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.data.tables import Table, read_table
from nas.errors import DataError

NEEDED = ("series", "label", "value")
"""Columns of a table of series: its name, its class, and one value; besides, there may be channel, time and group."""


def is_long(first_line: str) -> bool:
    """Whether the first line of a text file names the columns of a table of series."""
    for separator in ",;\t":
        if set(NEEDED) <= {cell.strip().strip('"').lower() for cell in first_line.split(separator)}:
            return True
    return False


def long_series(path: Path) -> Iterator[tuple[str, NDArray[np.float64], str]]:
    """Label, values (channels, length) and group of each series, in the order of their first rows.

    Values are in the order of `time`, where there is such a column, else in that of the file. Channels are in the order
    of their names; one without values in a series is missing there.

    Raises:
        DataError: A value is missing or no number, or a series has two labels or groups; the message names the line.
    """
    table = read_table(path, "yes")
    names = {name.lower(): name for name in table.columns}
    texts = {key: table.texts(names[key]) if key in names else [""] * len(table) for key in ("channel", "group")}
    series, labels = table.texts(names["series"]), table.texts(names["label"])
    values = table.numbers(names["value"])
    times = table.numbers(names["time"]) if "time" in names else np.zeros(len(table))
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(series):
        rows.setdefault(name, []).append(row)
    channels = sorted(set(texts["channel"]))
    for of_series in rows.values():
        first = of_series[0]
        for column, cells in (("label", labels), ("group", texts["group"])):
            _check_constant(table, names.get(column, column), cells, of_series)
        ordered = sorted(of_series, key=lambda row: float(times[row]))
        parts = [values[[row for row in ordered if texts["channel"][row] == channel]] for channel in channels]
        yield labels[first], padded(parts), texts["group"][first]


def padded(channels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Channels of any lengths as (channels, longest), with nan after the end of each."""
    longest = max((len(channel) for channel in channels), default=0)
    values = np.full((len(channels), longest), np.nan)
    for row, channel in zip(values, channels, strict=True):
        row[: len(channel)] = channel
    return values


def channels_of(series: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The channels of a series (channels, longest), each without nan at its end."""
    lengths = [int(known[-1]) + 1 if len(known := np.flatnonzero(~np.isnan(row))) else 0 for row in series]
    return [row[:length] for row, length in zip(series, lengths, strict=True)]


def _check_constant(table: Table, name: str, cells: Sequence[str], rows: Sequence[int]) -> None:
    other = next((row for row in rows if cells[row] != cells[rows[0]]), None)
    if other is not None:
        raise DataError(
            f"{table.where(other, name)} is {cells[other]!r}, and {cells[rows[0]]!r} in another row of its series; "
            "a series has one"
        )
