"""Files of labelled time series: text of the UCR archive, .ts of the UEA archive, and .npz without pickled objects."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError
from nas.labels import one_spelling

TEXT: Final = (".tsv", ".txt", ".csv")
HINT: Final = (
    "give a .tsv, .txt or .csv with a label and its series in each row, a .ts, a .npz with 'series' (examples, length) "
    "or (examples, channels, length) and 'labels' (examples,), or a folder with NAME_TRAIN and NAME_TEST of these"
)
_UNREADABLE: Final = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class Series:
    """Labelled series, in the order of their files.

    Attributes:
        values: Finite values of each series, (channels, length of the series) float64.
        labels: Label of each series as in its file; several files that are taken together have `one_spelling`.
    """

    values: tuple[NDArray[np.float64], ...]
    labels: tuple[str, ...]


def read_series(path: Path) -> Series:
    """The series of a file, or of the files NAME_TRAIN and NAME_TEST in a folder, which are taken together.

    The archive writes a shorter series with missing values at its end, which are dropped.

    Raises:
        DataError: Another value is missing, a file is damaged, or numbers of channels differ; the message names file
            and row.
    """
    values: list[NDArray[np.float64]] = []
    labels: list[list[str]] = []
    for file in _files(path):
        labels.append([])
        for row, (label, series) in enumerate(_rows(file), start=1):
            values.append(_whole(series, f"{file}, series {row}"))
            if not label:
                raise DataError(f"{file}, series {row} has no label; write its class, or leave the series out")
            labels[-1].append(label)
            if len(values[-1]) != len(values[0]):
                raise DataError(
                    f"{file}, series {row} has {len(values[-1])} channels, the first {len(values[0])}; all need as many"
                )
    if not values:
        raise DataError(f"{path} holds no series; {HINT}")
    spelled = one_spelling(*labels) if len(labels) > 1 else labels
    return Series(tuple(values), tuple(chain.from_iterable(spelled)))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    known = {".npz", ".ts", *TEXT}
    return sorted(file for file in path.iterdir() if file.stem.endswith(("_TRAIN", "_TEST")) and file.suffix in known)


def _rows(file: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Label and series (channels, length) of each example of a file."""
    readers = {".npz": _packed, ".ts": _ts, **dict.fromkeys(TEXT, _text)}
    if file.suffix not in readers:
        raise DataError(f"{file} is of no kind that is read; {HINT}")
    try:
        yield from readers[file.suffix](file)
    except FileNotFoundError as error:
        raise DataError(f"{file} does not exist; {HINT}") from error
    except _UNREADABLE as error:
        # The message of numpy about an .npz is left out, because it recommends to load the file unsafely.
        why = "" if file.suffix == ".npz" else f" ({error})"
        raise DataError(f"{file} cannot be read as labelled series{why}; {HINT}") from error


def _packed(file: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
        series, labels = arrays["series"], arrays["labels"]
    if series.ndim not in {2, 3} or series.dtype.kind not in "iuf" or labels.shape != series.shape[:1]:
        raise ValueError("shapes or types do not fit")
    labels = labels.astype(str) if labels.dtype.kind == "S" else labels
    for label, values in zip(labels.tolist(), series.astype(np.float64), strict=True):
        # Arrays mark a missing label by a float that is not a number.
        yield "" if isinstance(label, float) and not math.isfinite(label) else str(label), np.atleast_2d(values)


def _text(file: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for line in file.read_text("utf-8-sig").splitlines():
        separator = next((mark for mark in ",\t" if mark in line), None)
        label, *values = [cell.strip() for cell in line.split(separator)] or [""]
        if label or any(values):
            yield label, np.array([[value or "nan" for value in values]], dtype=np.float64)


def _ts(file: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Reads lines of channels and the label, separated by colons, after lines of '@key value' and '@data'."""
    keys: dict[str, str] = {}
    for line in file.read_text("utf-8-sig").splitlines():
        if line.startswith("@"):
            key, _, value = line[1:].lower().partition(" ")
            keys[key] = value
        elif line and not line.startswith("#"):
            if not keys.get("classlabel", "").startswith("true") or keys.get("timestamps") == "true":
                raise ValueError("a .ts needs '@classLabel true …' and no time stamps")
            *channels, label = line.split(":")
            rows = [channel.replace("?", "nan").split(",") for channel in channels]
            yield label.strip(), np.array(rows, dtype=np.float64)


def _whole(series: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """The series without missing values at its end."""
    known = np.flatnonzero(~np.isnan(series).all(axis=0))
    series = series[:, : known[-1] + 1] if len(known) else series[:, :0]
    if series.shape[1] < 2 or not np.isfinite(series).all():
        raise DataError(f"{where}: needs at least 2 values, all finite; fill in what is missing, or leave it out")
    return series
