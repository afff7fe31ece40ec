"""Data sets with labelled examples, for ordinary supervised training: the base of all such families."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nas.errors import ConfigError, DataError, nearest
from nas.task import FRESH, Split, TaskBatch, TaskShape

from .counter_hash import SPLITS
from .splits import split_by_hash

LEAST: Mapping[Split, int] = {"train": 2, "validation": 4, "test": 2}
"""Fewest examples of each split: intervals need two, and the validation split is halved."""


@dataclass(frozen=True, eq=False)
class LabelledData:
    """Examples and labels of the three splits, in memory.

    Attributes:
        examples: By split (examples, *input_shape) uint8 or float32. Those of validation are in an order that says
            nothing about their classes, since the split is halved.
        labels: By split (examples,) int64 in [0, classes).
        classes: Names of the classes.

    Raises:
        DataError: A split has too few examples.
    """

    examples: Mapping[Split, Tensor]
    labels: Mapping[Split, Tensor]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        for split, least in LEAST.items():
            if len(self.labels[split]) < least:
                raise DataError(
                    f"the {split} split has {len(self.labels[split])} examples, and at least {least} are needed; add "
                    "data, or give the split a larger part"
                )

    @cached_property
    def digest(self) -> str:
        """Digest of all examples, labels and splits, 16 hexadecimal digits."""
        sha = hashlib.sha256(repr(self.classes).encode())
        for split in SPLITS:
            examples = self.examples[split]
            sha.update(f"{split} {examples.dtype} {tuple(examples.shape)}".encode())
            sha.update(np.ascontiguousarray(examples.numpy()).data)
            sha.update(self.labels[split].numpy().tobytes())
        return sha.hexdigest()[:16]


class LabelledFamily:
    """A data set as a task family, each task of which is one example (`nas.protocols.Labelled`).

    A subclass is a frozen dataclass with the method `load`, which is quick after the first call in a process.
    """

    name: ClassVar[str]

    def load(self) -> LabelledData:
        """The data. Raises DataError where they are missing, damaged or too few."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks as JSON values."""
        raise NotImplementedError

    @property
    def shape(self) -> TaskShape:
        data = self.load()
        return TaskShape(tuple(data.examples["train"].shape[1:]), len(data.classes), "classification")

    def check(self) -> None:
        """Raises what `load` raises."""
        self.load()

    def classes(self, split: Split) -> Sequence[str]:
        """Names of the classes, the same in each split."""
        return self.load().classes

    def sizes(self, split: Split) -> Sequence[int]:
        """Number of examples of each class of a split."""
        data = self.load()
        counts: list[int] = torch.bincount(data.labels[_known(split)], minlength=len(data.classes)).tolist()
        return counts

    def examples(self, split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
        """All examples of a split on a device, (examples, *input_shape), and their labels (examples,) int64."""
        data = self.load()
        return data.examples[_known(split)].to(device), data.labels[split].to(device)

    def inputs(self, examples: Tensor) -> Tensor:
        """The float32 inputs of a network: bytes are divided by 255, other numbers stay as they are."""
        return examples.to(torch.float32) / 255 if examples.dtype == torch.uint8 else examples

    def rows(self, split: Split, indices: Sequence[int]) -> Sequence[int]:
        """The places of tasks in a split: validation tasks below FRESH are its first half, the others the second.

        Raises:
            ConfigError: The split has no such task.
        """
        count = len(self.load().labels[_known(split)])
        if split != "validation":
            return _within(indices, 0, count, f"{self.name} has {count:,} {split} examples")
        half = count // 2
        ordinary = _within([i for i in indices if i < FRESH], 0, half, _halved(self.name, half, "of a search"))
        fresh = [i - FRESH for i in indices if i >= FRESH]
        fresh = [*_within(fresh, 0, count - half, _halved(self.name, count - half, "that choose the winner"))]
        places = iter(ordinary), iter(fresh)
        return [next(places[0]) if i < FRESH else half + next(places[1]) for i in indices]

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch:
        """Single examples as tasks: no support set, and one query each.

        Raises:
            ConfigError: The split has no such task.
        """
        data, rows = self.load(), torch.tensor(self.rows(split, indices), dtype=torch.int64)
        x = self.inputs(data.examples[split][rows].to(device))[:, None]
        y = data.labels[split][rows].to(device)[:, None]
        return TaskBatch(support_x=x[:, :0], support_y=y[:, :0], query_x=x, query_y=y)


def split_by_content(examples: np.ndarray[Any, Any], labels: Sequence[int]) -> tuple[Mapping[Split, list[int]], int]:
    """Splits examples 60, 20 and 20 % by a hash of their content, each class by itself.

    So a new example moves no other, and of examples that are equal in content and class all but the first are left
    out: they would be in training and test at once.

    Args:
        examples: (examples, …) numbers.
        labels: The class of each.

    Returns:
        The rows of each split in the order of their hashes, and how many are left out. Each class with three different
        examples or more is in each split.
    """
    first: dict[int, dict[str, int]] = {}
    for row, (example, label) in enumerate(zip(examples, labels, strict=True)):
        content = hashlib.sha256(np.ascontiguousarray(example).data).hexdigest()
        first.setdefault(label, {}).setdefault(content, row)
    members: dict[Split, list[tuple[str, int]]] = {split: [] for split in SPLITS}
    for rows in first.values():
        for split, contents in split_by_hash(rows, 1).items():
            members[split] += [(content, rows[content]) for content in contents]
    kept = {split: [row for _, row in sorted(pairs)] for split, pairs in members.items()}
    return kept, len(labels) - sum(map(len, kept.values()))


def _within(indices: Sequence[int], least: int, most: int, what: str) -> Sequence[int]:
    wrong = next((i for i in indices if not least <= i < most), None)
    if wrong is not None:
        raise ConfigError(f"{what}, and number {wrong:,} is asked for; ask for {most:,} at most")
    return indices


def _halved(name: str, half: int, whose: str) -> str:
    return f"{name} has {half:,} validation examples {whose}"


def _known(split: Split) -> Split:
    if split not in SPLITS:
        raise ConfigError(f"there is no split {split!r} of the data; {nearest(str(split), SPLITS)}")
    return split
