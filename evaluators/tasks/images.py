"""Few-shot classification tasks from images that lie on the device as one tensor: what all image families share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor

from nas.errors import ConfigError, DataError, nearest
from nas.protocols import Split, TaskBatch, TaskShape

from .episodes import SPLITS, choose, fold, task_keys

SIDE = 28
_CLASSES, _GROUPS, _DRAWERS = 0, 1, 2  # numbers of the streams that a task's key is folded into


@dataclass(frozen=True, eq=False)
class ClassPool:
    """The classes of one split.

    names   what each is called in reports
    rows    (classes,) int64: the row of the image tensor that holds its drawings
    turns   (classes,) int64: quarter turns, counter-clockwise, by which its drawings are rotated; None for no rotation
    groups  (classes,) int64 from 0 without gaps: all classes of a task are of one group; None for any classes
    """

    names: tuple[str, ...]
    rows: Tensor
    turns: Tensor | None = None
    groups: Tensor | None = None

    def to(self, device: torch.device) -> ClassPool:
        turns, groups = (None if x is None else x.to(device) for x in (self.turns, self.groups))
        return ClassPool(self.names, self.rows.to(device), turns, groups)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set: `images` (rows, drawers, 28, 28) uint8 with ink = 255, and the classes of each split.

    Raises DataError where two splits share a class: the one place that keeps them disjoint.
    """

    images: Tensor
    pools: Mapping[Split, ClassPool]

    def __post_init__(self) -> None:
        for one, other in combinations(self.pools, 2):
            shared = sorted(set(self.pools[one].names) & set(self.pools[other].names))
            same_row = set(self.pools[one].rows.tolist()) & set(self.pools[other].rows.tolist())
            if shared or same_row:
                named = shared[0] if shared else f"row {min(same_row)}"
                raise DataError(f"class {named!r} is in both {one} and {other}; each class belongs to one split")

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that change with any image, any class and any split."""
        sha = hashlib.sha256(self.images.cpu().numpy().tobytes())
        for split in SPLITS:
            pool = self.pools[split]
            sha.update(repr((split, pool.names, pool.rows.tolist())).encode())
        return sha.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class ImageFamily:
    """N-way K-shot tasks: `ways` classes of a split, `shots` + `queries` different drawings of each.

    ways     classes a task, at least 2
    shots    labelled drawings a class in the support set, at least 1
    queries  drawings a class in the query set, at least 1
    seed     of the tasks: other seeds give other tasks from the same images
    """

    name: ClassVar[str]
    ways: int = 5
    shots: int = 1
    queries: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        for option, least in {"ways": 2, "shots": 1, "queries": 1, "seed": 0}.items():
            at_least(self.name, option, getattr(self, option), least)

    def load(self) -> ImageData:
        """The images and the classes of each split, cached by the subclass for the life of the process."""
        raise NotImplementedError

    @property
    def shape(self) -> TaskShape:
        return TaskShape((1, SIDE, SIDE), self.ways, "classification")

    def check(self) -> None:
        """Loads the data. Raises DataError where it is missing, damaged or too small for these tasks."""
        self._checked()

    def classes(self, split: Split) -> list[str]:
        """Names of the classes that tasks of `split` are made of."""
        return list(_pool(self._checked(), split).names)

    def describe(self) -> dict[str, Any]:
        """What identifies the tasks: the options, and a digest of the images and of the classes of each split."""
        options = {key: value for key, value in asdict(self).items() if key not in {"path", "download"}}
        return {"name": self.name, **options, "digest": self._checked().digest}

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch:
        """The tasks of these numbers (any whole numbers from 0), the same on every device and in any batch.

        support_x is (tasks, ways * shots, 1, 28, 28) in [0, 1] with ink = 1, sorted by class; a class's label
        is its place in the task's own random order of classes. Raises ConfigError for an unknown split, and what
        `check` raises.
        """
        data = _on_device(self._checked(), device)
        pool = _pool(data, split)
        keys = task_keys(seed=self.seed, split=split, indices=indices, device=device)
        classes = _choose_classes(keys, pool, self.ways)
        ways = torch.arange(self.ways, device=device)
        drawers = choose(
            fold(keys[:, None], ways + _DRAWERS), population=data.images.shape[1], count=self.shots + self.queries
        )
        images = _drawings(data.images, pool, classes, drawers)
        return TaskBatch(
            support_x=_as_input(images[:, :, : self.shots]),
            support_y=ways.repeat_interleave(self.shots).repeat(len(keys), 1),
            query_x=_as_input(images[:, :, self.shots :]),
            query_y=ways.repeat_interleave(self.queries).repeat(len(keys), 1),
            classes=classes,
        )

    def _checked(self) -> ImageData:
        data = self.load()
        drawers = data.images.shape[1]
        if self.shots + self.queries > drawers:
            raise DataError(
                f"{self.name}: shots = {self.shots} and queries = {self.queries} need {self.shots + self.queries} "
                f"drawings a class; there are {drawers}: lower shots or queries"
            )
        for split in SPLITS:
            found = len(data.pools[split].names)
            if self.ways > found:
                raise DataError(
                    f"{self.name}: ways = {self.ways} classes a task, but the {split} split has {found}: lower ways"
                )
        return data


def at_least(family: str, option: str, value: int, least: int) -> None:
    """Raises ConfigError unless `value` is a whole number from `least`."""
    if type(value) is not int or value < least:
        raise ConfigError(f"{family}: {option} is {value!r}; it must be a whole number, at least {least}")


def _pool(data: ImageData, split: Split) -> ClassPool:
    if split not in data.pools:
        raise ConfigError(f"there is no split {split!r} of the tasks; {nearest(str(split), SPLITS)}")
    return data.pools[split]


@lru_cache(maxsize=4)
def _on_device(data: ImageData, device: torch.device) -> ImageData:
    """The same data on `device`: one copy a process, as long as the data set itself is kept."""
    return ImageData(data.images.to(device), {split: pool.to(device) for split, pool in data.pools.items()})


def _choose_classes(keys: Tensor, pool: ClassPool, ways: int) -> Tensor:
    """Places in the pool, (tasks, ways): distinct and in random order, all of one group where there are groups."""
    population, allowed = len(pool.names), None
    if pool.groups is not None:
        group = choose(fold(keys, _GROUPS), population=int(pool.groups.max()) + 1, count=1)
        allowed = pool.groups == group
    return choose(fold(keys, _CLASSES), population=population, count=ways, allowed=allowed)


def _drawings(images: Tensor, pool: ClassPool, classes: Tensor, drawers: Tensor) -> Tensor:
    """(tasks, ways, drawings, 28, 28) uint8 of `classes` (tasks, ways) by `drawers` (tasks, ways, drawings)."""
    drawn = images[pool.rows[classes][..., None], drawers]
    if pool.turns is None:
        return drawn
    pixels = torch.arange(SIDE * SIDE, device=images.device).view(SIDE, SIDE)
    turned = torch.stack([pixels.rot90(k).flatten() for k in range(4)])
    places = turned[pool.turns[classes]][:, :, None, :].expand(*drawers.shape, -1)
    return drawn.flatten(-2).gather(-1, places).view_as(drawn)


def _as_input(images: Tensor) -> Tensor:
    """(tasks, ways, drawings, 28, 28) uint8 -> (tasks, ways * drawings, 1, 28, 28) float32 in [0, 1]."""
    return images.flatten(1, 2).unsqueeze(2).to(torch.float32) / 255.0
