"""Rows of a table as examples with classes, groups, targets and splits."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.bounds import check_length, check_number
from nas.data.array_examples import inputs_of
from nas.data.csv_files import UNNAMED
from nas.data.preprocessing import ArrayPreprocessing
from nas.data.tables import Table
from nas.errors import ConfigError, DataError, nearest, shown
from nas.labels import one_spelling
from nas.task import Split

from .counter_hash import SPLITS
from .folder_classes import SPLIT_FOLDERS

log = logging.getLogger(__name__)
Column = str | int
Missing = Literal["error", "drop"]
LARGEST_COLUMN = 1_000_000
"""Largest number of a column, also counted from the end."""


def check_columns(owner: str, **columns: Column | Sequence[Column] | None) -> None:
    """Check options that name columns by number. A table has at most LARGEST_COLUMN of them.

    Args:
        owner: Name of the task family, with which the message begins.
        **columns: A column or several, by the name of the option.

    Raises:
        ConfigError: A number is out of bounds, or an option has too many columns.
    """
    for option, given in columns.items():
        several: Sequence[Column | None] = given if isinstance(given, tuple | list) else [given]  # type: ignore[list-item]
        check_length(f"{owner} {option}", several)
        for column in several:
            if column is not None and not isinstance(column, str):
                check_number(owner, option, column, -LARGEST_COLUMN, LARGEST_COLUMN)


@dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """Columns of a table by name or number, and what is done with them; `Arrays` documents the options."""

    label: Column | None = None
    group: Column | None = None
    targets: tuple[Column, ...] = ()
    features: tuple[Column, ...] = ()
    split: Column | None = None
    shape: tuple[int, ...] = ()
    missing: Missing = "error"


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a table that are used.

    Attributes:
        x: Inputs (rows, *shape) float64, as in the file.
        y: Targets (rows, targets) float64, as in the file; (rows, 0) in classification.
        labels: Class of each row; empty in regression.
        groups: Group of each row; empty where there are none.
        splits: Split of each row as a column gives it; empty where none does.
        features: Names of the features.
        targets: Names of the targets.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[Split, ...]
    features: tuple[str, ...]
    targets: tuple[str, ...]


def rows_of(table: Table, options: ColumnOptions) -> Rows:
    """The rows of a table with the columns that the options name.

    Raises:
        ConfigError: A column does not exist, or has two uses.
        DataError: A value is missing, where `missing` is 'error', or is no number; the message names the line.
    """
    label, group, split = (
        None if column is None else table.name(column, f"arrays {option}")
        for option, column in (("label", options.label), ("group", options.group), ("split", options.split))
    )
    targets = tuple(table.name(column, "arrays targets") for column in options.targets)
    used = [name for name in (label, group, split, *targets) if name is not None]
    features = _features(table, options, used)
    twice = [name for name, count in Counter([*used, *features]).items() if count > 1]
    if twice:
        raise ConfigError(f"arrays: column {twice[0]!r} of {table.path} has two uses among label, group and others")
    table = _complete_rows(table, [*features, *targets], [n for n in (label, group, split) if n], options.missing)
    return Rows(
        inputs_of(table, features, options.shape),
        np.stack([table.numbers(n) for n in targets], axis=1) if targets else np.zeros((len(table), 0)),
        one_spelling(table.texts(label))[0] if label else (),
        one_spelling(table.texts(group))[0] if group else (),
        tuple(_split(table, split, row, text) for row, text in enumerate(table.texts(split))) if split else (),
        features,
        targets,
    )


def given_splits(owners: Sequence[str], splits: Sequence[Split], what: str) -> Mapping[Split, tuple[str, ...]]:
    """The classes or groups of each split, as a column of the table gives it.

    Raises:
        DataError: One of them is in two splits.
    """
    of_owner: dict[str, Split] = {}
    for owner, split in zip(owners, splits, strict=True):
        if of_owner.setdefault(owner, split) != split:
            raise DataError(
                f"arrays: {what} {owner!r} is in the splits {of_owner[owner]} and {split}; a {what} belongs to one, so "
                f"that tasks for testing are of a new {what}"
            )
    return {split: tuple(sorted(o for o, s in of_owner.items() if s == split)) for split in SPLITS}


def preprocessing_of(rows: Rows, training: NDArray[np.bool_], *, standardise: bool) -> ArrayPreprocessing:
    """Mean and deviation of each feature or channel, and of each target, over the training rows (rows,) bool.

    Without `standardise` inputs stay as they are; targets are standardised all the same.
    """
    shape = rows.x.shape[1:]
    axes = (0, *range(2, rows.x.ndim))
    mean, deviation = _moments(rows.x[training], axes) if standardise else (np.zeros(shape[0]), np.ones(shape[0]))
    target_mean, target_deviation = _moments(rows.y[training], (0,))
    return ArrayPreprocessing(
        shape,
        tuple(mean.tolist()),
        tuple(deviation.tolist()),
        tuple(target_mean.tolist()),
        tuple(target_deviation.tolist()),
        rows.features,
        rows.targets,
    )


def listed(names: Iterable[Any]) -> str:
    """The first names of a list in messages."""
    every = list(names)
    return ", ".join(shown(name) for name in every[:5]) + (f" and {len(every) - 5} others" if len(every) > 5 else "")


def _moments(x: NDArray[np.float64], axes: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation; 1 in place of a deviation of 0, also where rounding leaves a little."""
    mean, deviation = x.mean(axis=axes), x.std(axis=axes)
    constant = deviation <= 1e-9 * np.abs(x).max(axis=axes)
    return mean, np.where(constant, 1.0, deviation)


def _features(table: Table, options: ColumnOptions, used: Sequence[str]) -> tuple[str, ...]:
    if options.features:
        return tuple(table.name(column, "arrays features") for column in options.features)
    others = [name for name in table.columns if name not in used]
    features = tuple(name for name in others if table.is_numeric(name) and not name.startswith(UNNAMED))
    left = [name for name in others if name not in features]
    if not features:
        raise DataError(f"{table.path} has no column of numbers besides {listed(used)}; its columns: {listed(others)}")
    if left:
        log.info("arrays: columns that are left out, since they are not numbers: %s", listed(left))
    return features


def _complete_rows(table: Table, numbers: Sequence[str], texts: Sequence[str], missing: Missing) -> Table:
    """The table without the rows that lack a value.

    Raises:
        DataError: A value is missing where `missing` is 'error', or no row remains.
    """
    lacks = np.zeros(len(table), dtype=bool)
    for name in (*numbers, *texts):
        here = _lacking(table, name, is_text=name in texts)
        if here.any() and missing == "error":
            raise DataError(
                f"{table.where(int(here.argmax()), name)} has no value ({here.sum():,} of {len(table):,} rows have "
                'none); fill it in, or set missing = "drop" to leave such rows out'
            )
        lacks = lacks | here
    if lacks.all():
        raise DataError(f"{table.path} has no row without a missing value; set features, to leave columns out")
    if not lacks.any():
        return table
    log.warning("arrays: %d of %d rows of %s lack a value and are left out", lacks.sum(), len(table), table.path.name)
    columns = {name: column[~lacks] for name, column in table.columns.items()}
    lines = [line for line, lack in zip(table.lines, lacks, strict=True) if not lack]
    return Table(table.path, columns, lines, table.header, table.decimal_comma)


def _lacking(table: Table, name: str, *, is_text: bool) -> NDArray[np.bool_]:
    """Which rows lack a value in a column, (rows,)."""
    if is_text:
        return np.array([not text for text in table.texts(name)])
    return np.asarray(np.isnan(table.numbers(name)).reshape(len(table), -1).any(axis=1))


def _split(table: Table, name: str, row: int, text: str) -> Split:
    if text.lower() not in SPLIT_FOLDERS:
        raise DataError(f"{table.where(row, name)} is {shown(text)}, no split; {nearest(text, SPLIT_FOLDERS)}")
    return SPLIT_FOLDERS[text.lower()]
