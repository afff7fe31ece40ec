"""Data sets of tasks from the rows of a table: classes that are split, or groups with their classes or targets."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from nas.data.array_examples import scaled
from nas.data.csv_files import Header
from nas.data.preprocessing import ArrayPreprocessing
from nas.data.tables import digest_of, read_table
from nas.errors import DataError
from nas.task import Split

from .array_data import ColumnOptions, Rows, given_splits, listed, preprocessing_of, rows_of
from .class_family import ClassData, ClassPool
from .counter_hash import SPLITS
from .group_tasks import GroupData
from .splits import split_by_hash

log = logging.getLogger(__name__)
LEAST_GROUPS: Final = 3  # One in each split.


@dataclass(frozen=True, kw_only=True)
class SetOptions:
    """Options of a data set.

    Attributes:
        family: Name of the task family, for messages.
        columns: The columns that are used.
        ways: Classes of a task; 1 in regression.
        needed: Examples of each class of a task, or of a regression task.
        standardise: Whether inputs are standardised.
        header: Whether the first line of a text file names the columns.
    """

    family: str
    columns: ColumnOptions
    ways: int
    needed: int
    standardise: bool
    header: Header


@dataclass(frozen=True, eq=False)
class ArraySet:
    """A data set.

    Attributes:
        data: The examples, by class or by group.
        preprocessing: Shape of the inputs, and the mean and deviation that they are standardised by.
        inventory: Digest of the rows of each class or group.
    """

    data: ClassData | GroupData
    preprocessing: ArrayPreprocessing
    inventory: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """Digest of all examples, classes, groups and splits, 16 hexadecimal digits."""
        if isinstance(self.data, ClassData):
            return self.data.digest
        sha = hashlib.sha256(self.data.x.numpy().tobytes())
        sha.update(b"" if self.data.y is None else self.data.y.numpy().tobytes())
        splits = [(split, self.data.groups[split].tolist()) for split in SPLITS]
        sha.update(repr((self.data.names, self.data.classes, self.data.counts.tolist(), splits)).encode())
        return sha.hexdigest()[:16]


@lru_cache(maxsize=4)
def array_set(path: Path, options: SetOptions) -> ArraySet:
    """The data set of a file, read once in a process.

    Raises:
        ConfigError: A column does not exist.
        DataError: The file cannot be used, or has too few classes or groups; the message says which settings would fit.
    """
    rows = without_copies(rows_of(read_table(path, options.header), options.columns))
    return grouped_set(rows, path, options) if rows.groups else _of_classes(rows, path, options)


def _of_classes(rows: Rows, path: Path, options: SetOptions) -> ArraySet:
    places = _places(rows.labels)
    usable = _large_enough(places, options.needed)
    splits = _splits(rows.labels, rows, usable, options.ways, "class")
    _check_classes(path, splits, places, usable, options)
    training = np.isin(np.array(rows.labels, dtype=object), list(splits["train"]))
    preprocessing = preprocessing_of(rows, training, standardise=options.standardise)
    names = sorted(name for split in SPLITS for name in splits[split])
    counts = torch.tensor([len(places[name]) for name in names])
    order = np.concatenate([places[name] for name in names])
    examples = torch.from_numpy(scaled(rows.x[order], preprocessing))
    numbers = {name: row for row, name in enumerate(names)}
    pools = {
        split: ClassPool(tuple(splits[split]), torch.tensor([numbers[name] for name in splits[split]]))
        for split in SPLITS
    }
    return ArraySet(
        ClassData(examples, pools, counts, counts.cumsum(0) - counts), preprocessing, _inventory(rows, places)
    )


def grouped_set(rows: Rows, path: Path, options: SetOptions) -> ArraySet:
    """The data set of rows with groups, each of which is a task.

    Raises:
        DataError: There are too few groups with enough rows of each class, or `ways` is not the number of classes.
    """
    labels = rows.labels or ("",) * len(rows.x)
    names = sorted(set(labels))
    if rows.labels and len(names) != options.ways:
        raise DataError(
            f"{options.family}: with groups, ways is the number of classes in the data: {path} has {len(names)} "
            f"({listed(names)}), and ways = {options.ways}; set ways = {len(names)}"
        )
    cells = _places(tuple(zip(rows.groups, labels, strict=True)))
    groups = _places(rows.groups)
    fewest = {group: min(len(cells.get((group, name), ())) for name in names) for group in groups}
    usable = sorted(group for group, count in fewest.items() if count >= options.needed)
    of = "of each class " if rows.labels else ""
    if len(usable) < len(groups):
        left = sorted(set(groups) - set(usable))
        log.warning(
            options.family + ": %d of %d groups have fewer than %d rows %sand are left out: %s",
            *(len(left), len(groups), options.needed, of, listed(left)),
        )
    splits = _splits(rows.groups, rows, usable, 1, "group")
    _check_groups(path, splits, fewest, options, of)
    numbers = {group: number for number, group in enumerate(usable)}
    training = np.isin(np.array(rows.groups, dtype=object), list(splits["train"]))
    preprocessing = preprocessing_of(rows, training, standardise=options.standardise)
    order = np.concatenate([cells[group, name] for group in usable for name in names])
    counts = torch.tensor([[len(cells[group, name]) for name in names] for group in usable])
    y = (rows.y[order] - preprocessing.target_mean) / preprocessing.target_deviation
    data = GroupData(
        torch.from_numpy(scaled(rows.x[order], preprocessing)),
        None if rows.labels else torch.from_numpy(y.astype(np.float32)),
        starts=(counts.flatten().cumsum(0) - counts.flatten()).view_as(counts),
        counts=counts,
        groups={split: torch.tensor([numbers[group] for group in splits[split]]) for split in SPLITS},
        names=tuple(usable),
        classes=tuple(names) if rows.labels else (),
    )
    return ArraySet(data, preprocessing, _inventory(rows, groups))


def _splits(
    owners: Sequence[str], rows: Rows, usable: Sequence[str], least: int, what: str
) -> Mapping[Split, Sequence[str]]:
    """The usable classes or groups of each split, by the table's column or else by a hash of their names."""
    if not rows.splits:
        return split_by_hash(usable, least)
    given, kept = given_splits(owners, rows.splits, what), set(usable)
    return {split: [name for name in given[split] if name in kept] for split in SPLITS}


def _check_classes(
    path: Path,
    splits: Mapping[Split, Sequence[str]],
    places: Mapping[str, Any],
    usable: Sequence[str],
    options: SetOptions,
) -> None:
    """Raises DataError where a split has fewer classes than the ways."""
    least = min(len(splits[split]) for split in SPLITS)
    if least >= options.ways:
        return
    sizes = ", ".join(f"{len(splits[split])} {split}" for split in SPLITS)
    few = len(places) - len(usable)
    reason = f", of which {few} have fewer than {options.needed} different rows" if few else ""
    fits = least if options.columns.split is not None else len(usable) // len(SPLITS)
    remedy = f"ways = {fits} fits" if fits >= 2 else "at least 6 classes are needed, two in each split"
    lower = ", or lower shots or queries" if few else ""
    groups = "; where tasks are given by the data (one patient or machine a task), set group" if len(places) < 6 else ""
    raise DataError(
        f"arrays: {path} has {len(places)} classes{reason}; ways = {options.ways} needs as many in each split, and "
        f"there are {sizes}: {remedy}{lower}{groups}"
    )


def _check_groups(
    path: Path, splits: Mapping[Split, Sequence[str]], fewest: Mapping[str, int], options: SetOptions, of: str
) -> None:
    """Raises DataError where a split has no group."""
    empty = [split for split in SPLITS if not splits[split]]
    if not empty:
        return
    kept = sum(len(splits[split]) for split in SPLITS)
    largest = sorted(fewest.values(), reverse=True)
    fits = largest[LEAST_GROUPS - 1] if len(largest) >= LEAST_GROUPS else 0
    if kept >= LEAST_GROUPS:
        remedy = f"the split {empty[0]} has none: give it a group in the column of splits"
    elif fits >= 2:
        remedy = f"shots + queries = {fits} would fit"
    else:
        remedy = "one is needed for each of train, validation and test"
    raise DataError(
        f"{options.family}: {path} has {len(fewest)} groups, {kept} of them with {options.needed} different rows {of}"
        f"or more (shots + queries); {remedy}"
    )


def _large_enough(places: Mapping[str, NDArray[np.int64]], needed: int) -> list[str]:
    usable = sorted(name for name, of_name in places.items() if len(of_name) >= needed)
    if len(usable) < len(places):
        left = sorted(set(places) - set(usable))
        log.warning(
            "arrays: %d of %d classes have fewer than %d different rows and are left out: %s",
            *(len(left), len(places), needed, listed(left)),
        )
    return usable


def _places(owners: Sequence[Any]) -> dict[Any, NDArray[np.int64]]:
    """The rows of each class, group, or both, in the order of the file."""
    places: dict[Any, list[int]] = {}
    for row, owner in enumerate(owners):
        places.setdefault(owner, []).append(row)
    return {owner: np.array(rows) for owner, rows in places.items()}


def without_copies(rows: Rows) -> Rows:
    """The rows without those that repeat the inputs of another of the same class and group.

    In regression a repeated measurement with another target stays.
    """
    seen: set[tuple[str, str, bytes, bytes]] = set()
    kept: list[int] = []
    labels = rows.labels or ("",) * len(rows.x)
    groups = rows.groups or ("",) * len(rows.x)
    for row, (x, y) in enumerate(zip(rows.x, rows.y, strict=True)):
        key = (groups[row], labels[row], x.tobytes(), y.tobytes())
        if key not in seen:
            seen.add(key)
            kept.append(row)
    if len(kept) == len(rows.x):
        return rows
    log.warning("arrays: %d rows repeat another of the same class or group, and are left out", len(rows.x) - len(kept))
    per_row = {"labels": rows.labels, "groups": rows.groups, "splits": rows.splits}
    chosen: dict[str, Any] = {key: tuple(values[row] for row in kept) for key, values in per_row.items() if values}
    return replace(rows, x=rows.x[kept], y=rows.y[kept], **chosen)


def _inventory(rows: Rows, places: Mapping[str, NDArray[np.int64]]) -> Mapping[str, str]:
    labels = np.array(rows.labels or ("",) * len(rows.x))
    return {
        name: digest_of(rows.x[of_name], rows.y[of_name], labels[of_name]) for name, of_name in sorted(places.items())
    }
