"""Files of labelled time series: text of the UCR archive, .ts of the UEA archive, and .npz without pickled objects."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nas.data.numpy_files import MOST_BYTES, read_npz
from nas.errors import DataError
from nas.labels import one_spelling
from nas.regular_files import GIB, check_regular, read_text

from .long_series import channels_of, is_long, long_series, padded

TEXT: Final = (".tsv", ".txt", ".csv")
HINT: Final = (
    "give a .tsv, .txt or .csv with a label and its series in each row, or with the columns series, label, value (and "
    "channel, time, group); a .ts; a .npz with 'series' (examples, length) or (examples, channels, length), 'labels' "
    "(examples,), and 'lengths' or 'groups' where there are any; or a folder with NAME_TRAIN and NAME_TEST of these"
)
MOST_TEXT_BYTES: Final = GIB // 2
"""Maximum size of a file of text."""
_UNREADABLE: Final = (OSError, EOFError, ValueError, KeyError, TypeError)


@dataclass(frozen=True, eq=False)
class Series:
    """Labelled series, in the order of their files.

    Attributes:
        values: Values of each series, (channels, length of its longest channel) float64, finite but for nan after the
            end of a shorter channel.
        labels: Label of each series as in its file; several files that are taken together have `one_spelling`.
        groups: Group of each series, '' where there is none.
    """

    values: tuple[NDArray[np.float64], ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LabelledSeries:
    """One series of a file: its label, its values (channels, length) with nan for missing ones, and its group."""

    label: str
    values: NDArray[np.float64]
    group: str = ""


def read_series(path: Path) -> Series:
    """The series of a file, or of the files NAME_TRAIN and NAME_TEST in a folder, which are taken together.

    The archive writes a shorter series, or channel, with missing values at its end, which are dropped.

    Raises:
        DataError: Another value is missing, a file is damaged, or numbers of channels differ; the message names file
            and row.
    """
    values: list[NDArray[np.float64]] = []
    labels: list[list[str]] = []
    groups: list[str] = []
    for file in _files(path):
        labels.append([])
        for row, series in enumerate(_rows(file), start=1):
            values.append(_whole(series.values, f"{file}, series {row}"))
            if not series.label:
                raise DataError(f"{file}, series {row} has no label; write its class, or leave the series out")
            labels[-1].append(series.label)
            groups.append(series.group)
            if len(values[-1]) != len(values[0]):
                raise DataError(
                    f"{file}, series {row} has {len(values[-1])} channels, the first {len(values[0])}; all need as many"
                )
    if not values:
        raise DataError(f"{path} holds no series; {HINT}")
    spelled = one_spelling(*labels) if len(labels) > 1 else labels
    return Series(tuple(values), tuple(chain.from_iterable(spelled)), tuple(groups))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    known = {".npz", ".ts", *TEXT}
    return sorted(
        file for file in path.iterdir() if file.stem.endswith(("_TRAIN", "_TEST")) and file.suffix.lower() in known
    )


def _rows(file: Path) -> Iterator[LabelledSeries]:
    """The series of a file."""
    readers = {".npz": _packed, ".ts": _ts, **dict.fromkeys(TEXT, _text)}
    if file.suffix.lower() not in readers:
        raise DataError(f"{file} is of no kind that is read; {HINT}")
    if not file.exists():
        raise DataError(f"{file} does not exist; {HINT}")
    check_regular(file, MOST_BYTES)
    try:
        yield from readers[file.suffix.lower()](file)
    except _UNREADABLE as error:
        raise DataError(f"{file} cannot be read as labelled series ({error}); {HINT}") from error


def _packed(file: Path) -> Iterator[LabelledSeries]:
    try:
        arrays = read_npz(file)
    except DataError as error:
        raise ValueError(str(error)) from error
    series, labels, lengths = arrays["series"], _texts(arrays["labels"]), arrays.get("lengths")
    groups = _texts(arrays["groups"]) if "groups" in arrays else [""] * len(labels)
    if series.ndim not in {2, 3} or series.dtype.kind not in "iuf" or not len(series) == len(labels) == len(groups):
        raise ValueError("shapes or types do not fit")
    values = series.astype(np.float64)
    values = values[:, None] if values.ndim == 2 else values
    if lengths is not None:
        # One length for each series, or for each of its channels.
        ends = lengths[:, None] if lengths.ndim == 1 else lengths
        if lengths.dtype.kind not in "iu" or ends.ndim != 2 or ends.shape[0] != len(values):
            raise ValueError("shapes or types do not fit")
        values = np.where(np.arange(values.shape[2]) < ends[..., None], values, np.nan)
    for label, value, group in zip(labels, values, groups, strict=True):
        yield LabelledSeries(label, value, group)


def _content(file: Path) -> str:
    try:
        return read_text(file, MOST_TEXT_BYTES)
    except DataError as error:
        raise ValueError(str(error)) from None


def _texts(column: NDArray[Any]) -> list[str]:
    """Labels of an array, '' where one is missing, which arrays mark by a float that is not a number."""
    if column.ndim != 1:
        raise ValueError("shapes or types do not fit")
    texts = (column.astype(str) if column.dtype.kind == "S" else column).tolist()
    return ["" if isinstance(text, float) and not math.isfinite(text) else str(text) for text in texts]


def _text(file: Path) -> Iterator[LabelledSeries]:
    text = _content(file)
    if is_long(text.partition("\n")[0]):
        for each in long_series(file):
            yield LabelledSeries(*each)
        return
    for line in text.splitlines():
        separator = next((mark for mark in ",\t" if mark in line), None)
        label, *values = [cell.strip() for cell in line.split(separator)] or [""]
        if label or any(values):
            yield LabelledSeries(label, np.array([[value or "nan" for value in values]], dtype=np.float64))


def _ts(file: Path) -> Iterator[LabelledSeries]:
    """Reads lines of channels and the label, separated by colons, after lines of '@key value' and '@data'."""
    keys: dict[str, str] = {}
    for line in _content(file).splitlines():
        if line.startswith("@"):
            key, _, value = line[1:].lower().partition(" ")
            keys[key] = value
        elif line and not line.startswith("#"):
            if not keys.get("classlabel", "").startswith("true") or keys.get("timestamps") == "true":
                raise ValueError("a .ts needs '@classLabel true …' and no time stamps")
            *channels, label = line.split(":")
            rows = [np.array(c.replace("?", "nan").split(","), dtype=np.float64) for c in channels]
            yield LabelledSeries(label.strip(), padded(rows))


def _whole(series: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """The series without missing values at its end; each channel may end before the others."""
    known = np.flatnonzero(~np.isnan(series).all(axis=0))
    series = series[:, : known[-1] + 1] if len(known) else series[:, :0]
    if series.shape[1] < 2 or any(len(each) < 2 or not np.isfinite(each).all() for each in channels_of(series)):
        raise DataError(f"{where}: needs at least 2 values, all finite; fill in what is missing, or leave it out")
    return series
