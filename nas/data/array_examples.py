"""Examples in the rows of a table: inputs of a fixed shape, labels and regression targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, shown
from ..labels import UNKNOWN
from .csv_files import Header
from .preprocessing import ArrayPreprocessing
from .tables import Table, read_table

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ArrayExamples:
    """Examples of a file.

    Attributes:
        x: Inputs (examples, *shape) float32, shifted and scaled.
        labels: Label of each example, UNKNOWN where there is none.
        y: Regression targets (examples, targets) float32, shifted and scaled as in training; None where the file has
            none.
        sources: File and line of each example.
    """

    x: NDArray[np.float32]
    labels: tuple[str, ...]
    y: NDArray[np.float32] | None
    sources: tuple[str, ...]


def read_examples(
    path: Path, preprocessing: ArrayPreprocessing, *, label: str | int | None = None, header: Header = "auto"
) -> ArrayExamples:
    """The rows of a file as examples of a network that was trained with this preprocessing.

    Features and targets are found by their names. A table without names, of as many columns as there are features, is
    taken to hold these alone, in their order; with the targets besides, features first and targets last.

    Args:
        path: A file that `read_table` reads.
        preprocessing: Names, shape and scale of the inputs.
        label: Column of the labels, which the file may lack; None for regression.
        header: As for `read_table`.

    Raises:
        DataError: The file lacks a feature, or a value is missing or no number; the message names line and column.
    """
    table = read_table(path, header)
    names, target_names = _columns(table, preprocessing)
    x = scaled(inputs_of(table, names, preprocessing.shape), preprocessing)
    y: NDArray[np.float32] | None = None
    if target_names:
        targets = np.stack([complete(table, name) for name in target_names], axis=1)
        with np.errstate(over="ignore"):
            y = ((targets - preprocessing.target_mean) / preprocessing.target_deviation).astype(np.float32)
    try:
        column = None if label is None else table.name(label, "label")
    except ConfigError:
        column = None
    known = column is not None and column not in names
    labels = [text or UNKNOWN for text in table.texts(str(column))] if known else [UNKNOWN] * len(table)
    return ArrayExamples(x, tuple(labels), y, tuple(f"{path}:{line}" for line in table.lines))


def inputs_of(table: Table, names: Sequence[str], shape: Sequence[int] = ()) -> Values:
    """Inputs (rows, *shape) from columns of numbers; without `shape`, as the columns have them.

    Raises:
        ConfigError: The columns have another number of values than `shape`.
        DataError: A value is missing or no number.
    """
    columns = [complete(table, name) for name in names]
    own = columns[0].shape[1:] if len(columns) == 1 and columns[0].ndim > 1 else None
    flat = np.concatenate([column.reshape(len(table), -1) for column in columns], axis=1)
    wanted = tuple(shape) or own or (flat.shape[1],)
    if len(wanted) > 3:
        raise ConfigError(f"{table.path}: {names[0]!r} has rows of shape {wanted}; give shape, of 1 to 3 numbers")
    if math.prod(wanted) != flat.shape[1]:
        raise ConfigError(f"shape = {list(wanted)} has {math.prod(wanted)} values; {table.path} has {flat.shape[1]}")
    if own is not None and _channels_last(own):
        raise ConfigError(
            f"{table.path}: {names[0]!r} has rows of shape {own}, with its channels last; move them to the front: "
            "images.transpose(0, 3, 1, 2)"
        )
    return flat.reshape(len(table), *wanted)


def complete(table: Table, name: str) -> Values:
    """A column of numbers without missing values. Raises DataError, which names the first line without one."""
    numbers = table.numbers(name)
    missing = np.isnan(numbers).reshape(len(numbers), -1).any(axis=1)
    if missing.any():
        raise DataError(
            f"{table.where(int(missing.argmax()), name)} has no value ({missing.sum():,} rows have none); fill it in, "
            "or leave the rows out"
        )
    return numbers


def scaled(x: NDArray[Any], preprocessing: ArrayPreprocessing) -> NDArray[np.float32]:
    """Inputs (…, *shape) shifted and scaled by the mean and deviation of each feature or channel."""
    ones = (1,) * (len(preprocessing.shape) - 1)
    mean = np.array(preprocessing.mean).reshape(-1, *ones)
    deviation = np.array(preprocessing.deviation).reshape(-1, *ones)
    with np.errstate(over="ignore"):  # numbers beyond float32 become infinite, which readers of the result refuse
        return np.asarray((x - mean) / deviation, dtype=np.float32)


def _columns(table: Table, preprocessing: ArrayPreprocessing) -> tuple[Sequence[str], Sequence[str]]:
    """The names of the features and of the targets, of which there may be none."""
    features, targets, names = preprocessing.features, preprocessing.targets, list(table.columns)
    count = len(features) or math.prod(preprocessing.shape)
    in_order = not table.header or not features
    if in_order and len(names) == count:
        return names, ()
    number = len(preprocessing.target_mean)
    if in_order and number and len(names) == count + number and not (features and set(features) <= set(names)):
        return names[:count], names[count:]
    missing = [name for name in features if name not in names]
    if missing or not features:
        what = f"no column {shown(missing[0])}" if missing else f"{len(names)} columns"
        raise DataError(f"{table.path} has {what}; the network needs {count} features: {shown(list(features))}")
    with_targets = bool(targets) and set(targets) <= set(names)
    return features, targets if with_targets else ()


def _channels_last(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] in (1, 3) and shape[0] > 4
