"""Data sets of tasks from labelled series: classes that are split, or groups of series."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from nas.data.tables import digest_of
from nas.errors import DataError
from nas.labels import one_spelling
from nas.task import Split

from .array_data import ColumnOptions, Rows
from .array_sets import ArraySet, SetOptions, grouped_set
from .class_family import ClassData, ClassPool
from .counter_hash import SPLITS
from .long_series import channels_of
from .series_files import Series, read_series
from .splits import split_by_hash

LEAST_CLASSES: Final = 6  # Two in each split.
LEAST_GROUPS: Final = 3  # One in each split.

Groups = Literal["none", "within", "tasks"]
Resampling = tuple[int, int, float]
"""Channels, length and scale of the inputs, as in `Sequences`."""


def resampled(series: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """A series (channels, values) resampled to (channels, length).

    A shorter length takes means of equal parts, where a part may begin and end within a value and then takes a fraction
    of it. A greater length interpolates linearly. Channels that end earlier, with nan after their end, are each
    resampled by themselves, from their first to their last value.
    """
    if np.isnan(series[:, -1]).any():
        return np.concatenate([resampled(channel[None], length) for channel in channels_of(series)])
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


def inputs(series: Sequence[NDArray[np.float64]], length: int, scale: float) -> torch.Tensor:
    """Inputs (series, channels, length) float32."""
    x = np.stack([resampled(values, length) for values in series])
    return torch.from_numpy((x / scale).astype(np.float32) if scale else standardised(x))


def with_channels(path: Path, channels: int) -> Series:
    """The series of a file. Raises DataError where they have another number of channels."""
    series = read_series(path)
    actual = len(series.values[0])
    if actual != channels:
        raise DataError(f"sequences: the series in {path} have {actual} channels; the option channels is {channels}")
    return series


@lru_cache(maxsize=4)
def class_set(path: Path, resampling: Resampling) -> ClassData:
    """Series by class; the classes are split at random, the same for the same number of names.

    Raises:
        DataError: A file cannot be read, or has too few classes.
    """
    channels, length, scale = resampling
    series = with_channels(path, channels)
    (labels,) = one_spelling(series.labels)
    names = sorted(set(labels))
    if len(names) < LEAST_CLASSES:
        raise DataError(
            f"sequences: {path} has {len(names)} classes; splits that share none need at least {LEAST_CLASSES}"
        )
    examples, counts = _by_class(series, labels, names, (length, scale))
    pools = {split: ClassPool(tuple(names[row] for row in rows), torch.tensor(rows)) for split, rows in _split(names)}
    return ClassData(examples, pools, counts)


@lru_cache(maxsize=4)
def within_groups(path: Path, resampling: Resampling, ways: int, needed: int) -> ClassData:
    """Series by group and class, GROUP/CLASS, for tasks whose classes are all of one group; the groups are split.

    Raises:
        DataError: The series have no groups, or too few groups have `ways` classes with `needed` series.
    """
    channels, length, scale = resampling
    series = _with_groups(path, channels)
    (labels,) = one_spelling(series.labels)
    labels = tuple(f"{group}/{label}" for group, label in zip(series.groups, labels, strict=True))
    owner = dict(zip(labels, series.groups, strict=True))
    usable = [name for name, count in Counter(labels).items() if count >= needed]
    large = [group for group, count in Counter(owner[name] for name in usable).items() if count >= ways]
    splits = split_by_hash(large, 1)
    if not all(splits.values()):
        raise DataError(
            f"sequences: {path} has {len(set(series.groups))} groups, {len(large)} of them with {ways} classes of "
            f"{needed} series (shots + queries); at least {LEAST_GROUPS} are needed, one in each split: lower ways, "
            "shots or queries"
        )
    names = sorted(name for name in usable if owner[name] in set(large))
    examples, counts = _by_class(series, labels, names, (length, scale))
    pools = {split: _pool(names, owner, splits[split]) for split in SPLITS}
    return ClassData(examples, pools, counts)


@lru_cache(maxsize=4)
def group_set(path: Path, resampling: Resampling, ways: int, needed: int) -> ArraySet:
    """Series by group, each of which is a task (`array_sets.grouped_set`).

    Raises:
        DataError: The series have no groups, or too few groups have enough series.
    """
    channels, length, scale = resampling
    series = _with_groups(path, channels)
    x = inputs(series.values, length, scale).double().numpy()
    (labels,) = one_spelling(series.labels)
    rows = Rows(x, np.zeros((len(x), 0)), labels, series.groups, (), (), ())
    options = SetOptions(
        family="sequences", columns=ColumnOptions(), ways=ways, needed=needed, standardise=False, header="auto"
    )
    return grouped_set(rows, path, options)


@lru_cache(maxsize=4)
def class_digests(path: Path, channels: int) -> Mapping[str, str]:
    """Digest of the series of each class, as they are in the file; with groups, of each GROUP/CLASS."""
    series = with_channels(path, channels)
    shas: dict[str, list[str]] = {}
    for values, label, group in zip(series.values, series.labels, series.groups, strict=True):
        shas.setdefault(f"{group}/{label}" if group else label, []).append(digest_of(values))
    return {name: hashlib.sha256("".join(shas[name]).encode()).hexdigest()[:16] for name in sorted(shas)}


def _with_groups(path: Path, channels: int) -> Series:
    series = with_channels(path, channels)
    without = sum(not group for group in series.groups)
    if without:
        raise DataError(
            f"sequences: {without} of {len(series.groups)} series in {path} have no group; a .npz has them in "
            "'groups', a table of series in a column group"
        )
    return series


def _by_class(
    series: Series, labels: Sequence[str], names: Sequence[str], form: tuple[int, float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (classes, most series of a class, channels, length), and the number of series of each class."""
    length, scale = form
    counts = torch.tensor([labels.count(name) for name in names])
    examples = torch.zeros(len(names), int(counts.max()), len(series.values[0]), length)
    for row, name in enumerate(names):
        of_class = [values for values, label in zip(series.values, labels, strict=True) if label == name]
        examples[row, : len(of_class)] = inputs(of_class, length, scale)
    return examples, counts


def _pool(names: Sequence[str], owner: Mapping[str, str], groups: Sequence[str]) -> ClassPool:
    rows = [row for row, name in enumerate(names) if owner[name] in groups]
    numbers = {group: number for number, group in enumerate(groups)}
    return ClassPool(
        tuple(names[row] for row in rows),
        torch.tensor(rows),
        groups=torch.tensor([numbers[owner[names[row]]] for row in rows]),
    )


def _split(names: Sequence[str]) -> list[tuple[Split, list[int]]]:
    """Numbers of the classes of each split, drawn at random; the same for the same number of names."""
    held_out = max(LEAST_CLASSES // 3, round(0.2 * len(names)))
    order = np.random.default_rng(0).permutation(len(names))
    parts = np.split(order, [len(names) - 2 * held_out, len(names) - held_out])
    return [(split, sorted(part.tolist())) for split, part in zip(SPLITS, parts, strict=True)]
