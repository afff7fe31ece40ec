"""Data of a person: what they are, and the tasks that they can give."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

from ..data.image_files import is_grey, opened, size_of
from ..data.image_folders import list_classes
from ..data.table_summary import TableSummary, summarise
from ..data.tables import SUFFIXES
from ..errors import ConfigError, DataError
from ..failures import attempt
from ..protocols.tasks import TaskFamily
from ..registry import components
from ..task import Kind

SAMPLE: Final = 200  # Images that are opened to choose size and channels.
LARGEST_SIDE: Final = 84
SERIES: Final = (".ts", ".tsv", ".txt")
MOST_WAYS: Final = 5
MOST_NUMBERS: Final = 20  # Distinct numbers up to which a column of numbers is a class.
Form = Literal["images", "series", "vectors"]


@dataclass(frozen=True)
class OwnData:
    """A person's data as tasks.

    Attributes:
        form: Form of an input.
        kind: Kind of the tasks.
        tasks: Keys of the config's table of tasks, besides the path.
        comments: Why a key has its value, by key.
        about: What the data are, one line each.
    """

    form: Form
    kind: Kind
    tasks: Mapping[str, Any]
    comments: Mapping[str, str]
    about: tuple[str, ...]


def look_at(path: Path) -> OwnData:
    """What a folder or a file holds, with ways, shots and queries that fit.

    Raises:
        ConfigError: It holds nothing that tasks can be made of.
        DataError: It cannot be read, or has too few classes; the message says what is needed.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist; give a folder of class folders of images, or a file of data")
    if path.is_dir() and not _series_files(path):
        return _images(path)
    if path.is_dir() or path.suffix.lower() in SERIES:
        return _series(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{path} is no data that tasks can be made of; give a folder of class folders of images, series "
            f"({', '.join(SERIES)}) or a table ({', '.join(SUFFIXES)})"
        )
    return _table(path)


def _series_files(folder: Path) -> bool:
    names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    return any("_TRAIN." in name.upper() for name in names)


def _images(path: Path) -> OwnData:
    listing = list_classes(path)
    files = [file for each in listing.classes for file in each.images]
    sample = files[:: max(1, len(files) // SAMPLE)]
    sides = [min(size) for size in map(size_of, sample) if size is not None]
    if not sides:
        raise DataError(f"none of the {len(sample)} images of {path} that were tried can be read")
    side = min(LARGEST_SIDE, int(median(sides)))
    readable = [each.value for each in (attempt(opened, file) for file in sample) if each.value is not None]
    channels = 1 if all(is_grey(image) for image in readable) else 3
    counts = sorted(len(each.images) for each in listing.classes)
    options = {"size": side, "channels": channels}
    ways, shots, queries = _fitting("image-folder", path, options, counts)
    grouped = f" in {len({each.group for each in listing.classes})} groups" if listing.grouped else ""
    about = (
        f"{len(listing.classes)} classes{grouped}, {len(files):,} images; {counts[0]} to {counts[-1]} a class, half of "
        f"the classes have at least {counts[len(counts) // 2]}",
        *(f"left out: {line}" for line in listing.skipped),
    )
    comments = {
        "size": f"half of the images are at least {int(median(sides))} pixels high and wide; {LARGEST_SIDE} is enough "
        "for photos",
        "channels": f"{'no image' if channels == 1 else 'an image'} of the {len(readable)} looked at has colour",
        **_comments(ways, shots, queries),
    }
    return OwnData("images", "classification", {**_few(ways, shots, queries), **options}, comments, about)


def _series(path: Path) -> OwnData:
    family = components.create("tasks", "sequences", {"path": str(path), "ways": 2, "shots": 1, "queries": 1})
    channels = 1
    tried = attempt(family.check)
    if isinstance(tried.error, DataError) and "channels" in str(tried.error):
        channels = next((n for n in range(2, 129) if _checks("sequences", path, {"channels": n}, 2, 1, 1)), 1)
    options = {"length": 64, "channels": channels}
    ways, shots, queries = _fitting("sequences", path, options, [])
    comments = {"length": "each channel is resampled to so many values", **_comments(ways, shots, queries)}
    tasks = {**_few(ways, shots, queries), **options}
    return OwnData("series", "classification", tasks, comments, (f"series of {channels} channels",))


def _table(path: Path) -> OwnData:
    summary = summarise(path)
    columns = {column.name: column for column in summary.columns}
    if "series" in columns and columns["series"].kind == "arrays" and len(columns["series"].shape) <= 2:
        return _series(path)
    about = (f"{summary.rows:,} rows, {len(columns)} columns: {', '.join(list(columns)[:12])}",)
    label = summary.label
    if label is None:
        raise ConfigError(
            f"{path} has no column that looks like a label; say which it is in a config of your own: [tasks] "
            f'name = "arrays", path, label (or targets and group); its columns are {", ".join(list(columns)[:20])}'
        )
    if summary.group is not None:
        return _grouped(path, summary, label, summary.group, about)
    options = {"label": label}
    counts = sorted(count for _, count in columns[label].counts)
    ways, shots, queries = _fitting("arrays", path, options, counts)
    comments = {"label": "the column of the class", **_comments(ways, shots, queries)}
    form: Form = "images" if any(len(column.shape) == 3 for column in summary.columns) else "vectors"
    return OwnData(form, "classification", {**_few(ways, shots, queries), **options}, comments, about)


def _grouped(path: Path, summary: TableSummary, label: str, group: str, about: tuple[str, ...]) -> OwnData:
    """A table whose groups, such as patients, are the tasks: of classes, or of numbers where there are many."""
    column = next(each for each in summary.columns if each.name == label)
    regression = column.kind == "numbers" and column.distinct > MOST_NUMBERS
    options: dict[str, Any] = {"targets": [label]} if regression else {"label": label}
    options["group"] = group
    comments = {"group": "a task is one of its groups", "targets": "the number to predict", "label": "the class"}
    ways = 0 if regression else column.distinct
    for shots, queries in ((10, 15), (5, 15), (5, 5), (3, 3), (2, 2), (1, 1)):
        if _checks("arrays", path, options, ways, shots, queries):
            few = {"shots": shots, "queries": queries} if regression else _few(ways, shots, queries)
            return OwnData(
                "vectors", "regression" if regression else "classification", {**few, **options}, comments, about
            )
    family = _family("arrays", path, options, ways, 1, 1)
    family.check()
    raise AssertionError("a family that checks was not found")


def _fitting(name: str, path: Path, options: Mapping[str, Any], counts: list[int]) -> tuple[int, int, int]:
    """Ways, shots and queries with which the family accepts the data, the most ways first.

    Raises:
        DataError: It accepts none; the message is the family's for two ways.
    """
    typical = counts[len(counts) // 10] if counts else 20
    shots = 5 if typical >= 20 else 1
    queries = max(1, min(15, typical - shots))
    for some_shots, some_queries in ((shots, queries), (1, queries), (1, min(5, queries)), (1, 1)):
        for ways in range(MOST_WAYS, 1, -1):
            if _checks(name, path, options, ways, some_shots, some_queries):
                return ways, some_shots, some_queries
    _family(name, path, options, 2, 1, 1).check()
    raise AssertionError("a family that checks was not found")


def _checks(name: str, path: Path, options: Mapping[str, Any], ways: int, shots: int, queries: int) -> bool:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # what does not fit is only tried
    try:
        family = attempt(_family, name, path, options, ways, shots, queries)
        return family.value is not None and attempt(family.value.describe).error is None
    finally:
        logging.disable(before)


def _family(name: str, path: Path, options: Mapping[str, Any], ways: int, shots: int, queries: int) -> TaskFamily:
    few = {"ways": ways, "shots": shots, "queries": queries} if ways else {"shots": shots, "queries": queries}
    family: TaskFamily = components.create("tasks", name, {"path": str(path), **options, **few})
    return family


def _few(ways: int, shots: int, queries: int) -> dict[str, Any]:
    return {"ways": ways, "shots": shots, "queries": queries}


def _comments(ways: int, shots: int, queries: int) -> dict[str, str]:
    return {
        "ways": "classes of a task",
        "shots": "labelled examples of each class",
        "queries": f"other examples of each class, by which the network is judged; a class needs {shots + queries}",
    }
