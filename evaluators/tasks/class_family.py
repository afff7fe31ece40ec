"""Few-shot classification from examples that are kept on the device as one tensor: the base of all such families."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nas.bounds import LARGEST_SEED, check_number
from nas.errors import ConfigError, DataError, nearest
from nas.task import Split, TaskBatch, TaskShape

from ..protocol_options import options_of
from .counter_hash import SPLITS, choose, fold, task_keys

log = logging.getLogger(__name__)
MOST_EXAMPLES = 10_000
"""Maximum of the classes of a task, and of the examples of a class in the support set or the query set."""
_CLASSES, _GROUPS, _EXAMPLES, _VARIANTS = 0, 1, 2, -1  # Numbers of the streams that a task's key is folded into.


@dataclass(frozen=True, eq=False)
class ClassPool:
    """Classes of one split.

    Attributes:
        names: Name of each class in reports.
        rows: (classes,) int64: the row of each class in the tensor of examples.
        turns: (classes,) int64: quarter turns, counter-clockwise, by which the images of a class are rotated; None for
            no rotation.
        groups: (classes,) int64 from 0 without gaps: the group of each class; all classes of a task are of one group.
            None where a task may have any classes.
        variants: (characters, variants) int64: the classes that are variants of one character, such as its rotations;
            a task has at most one of them. Each class stands once. None where a task may have any classes; always None
            where there are `groups`.
    """

    names: tuple[str, ...]
    rows: Tensor
    turns: Tensor | None = None
    groups: Tensor | None = None
    variants: Tensor | None = None

    @property
    def most_ways(self) -> int:
        """The largest number of classes that a task can have, where there are no groups."""
        return len(self.names if self.variants is None else self.variants)

    def to(self, device: torch.device) -> ClassPool:
        optional = (None if x is None else x.to(device) for x in (self.turns, self.groups, self.variants))
        return ClassPool(self.names, self.rows.to(device), *optional)


def in_rotations(names: Sequence[str], rows: Sequence[int]) -> ClassPool:
    """A pool in which each class turned by 90, 180 and 270° is a further class, NAME@90 and so on.

    Args:
        names: Name of each class.
        rows: Row of each class in the tensor of examples, whose images are as high as wide.

    Returns:
        The pool; a task has at most one rotation of a class.
    """
    turned = torch.arange(4).repeat_interleave(len(names))
    return ClassPool(
        tuple(name + (f"@{90 * turn}" if turn else "") for turn in range(4) for name in names),
        rows=torch.tensor(list(rows) * 4, dtype=torch.int64),
        turns=turned,
        variants=torch.arange(4 * len(names)).reshape(4, len(names)).T.contiguous(),
    )


@dataclass(frozen=True, eq=False)
class ClassData:
    """Data set, with splits that are checked to be disjoint in classes.

    Attributes:
        examples: (rows, most examples of a row, *shape of an example); with `starts`, the examples of all rows one
            after the other, (examples, *shape of an example).
        pools: Classes of each split.
        counts: (rows,) int64: the number of real examples of each row, which come first; None where all are real.
        starts: (rows,) int64: the place of each row's first example, where rows are of very different lengths; then
            `counts` are given too. None where each row has a place of its own in `examples`.

    Raises:
        DataError: Two splits share a class.
    """

    examples: Tensor
    pools: Mapping[Split, ClassPool]
    counts: Tensor | None = None
    starts: Tensor | None = None

    def __post_init__(self) -> None:
        for one, other in combinations(self.pools, 2):
            shared = sorted(set(self.pools[one].names) & set(self.pools[other].names))
            same_row = set(self.pools[one].rows.tolist()) & set(self.pools[other].rows.tolist())
            if shared or same_row:
                named = shared[0] if shared else f"row {min(same_row)}"
                raise DataError(f"class {named!r} is in both {one} and {other}; each class belongs to one split")

    @property
    def most(self) -> int:
        """The largest number of examples of a row."""
        return self.examples.shape[1] if self.starts is None else max(self._counts)

    def row(self, row: int) -> Tensor:
        """The examples of a row, (examples, *shape of an example)."""
        count = self._counts[row]
        if self.starts is None:
            return self.examples[row, :count]
        start = int(self.starts[row])
        return self.examples[start : start + count]

    def taken(self, rows: Tensor, numbers: Tensor) -> Tensor:
        """Examples (*numbers.shape, *shape of an example) by `rows` (*numbers.shape[:-1]) and numbers in the row."""
        if self.starts is None:
            return self.examples[rows[..., None], numbers]
        return self.examples[self.starts[rows][..., None] + numbers]

    @cached_property
    def digest(self) -> str:
        """Digest of all examples, classes and splits, 16 hexadecimal digits."""
        sha = hashlib.sha256(np.ascontiguousarray(self.examples.cpu().numpy()).data)
        for split in SPLITS:
            pool = self.pools[split]
            sha.update(repr((split, pool.names, pool.rows.tolist())).encode())
        if self.counts is not None:
            sha.update(repr(self.counts.tolist()).encode())
        return sha.hexdigest()[:16]

    @cached_property
    def copies(self) -> Tensor:
        """Examples that are identical to an earlier one of their row: (rows, most examples of a row) bool."""
        copies = torch.zeros(len(self._counts), self.most, dtype=torch.bool)
        for row in range(len(copies)):
            seen: set[bytes] = set()
            for place, example in enumerate(self.row(row).cpu().numpy()):
                data = hashlib.blake2b(np.ascontiguousarray(example).data, digest_size=16).digest()
                copies[row, place] = data in seen
                seen.add(data)
        return copies

    def usable(self, needed: int) -> Tensor:
        """Examples for tasks, (rows, most examples of a row) bool: without copies where `needed` others remain."""
        real = torch.arange(self.most) < torch.tensor(self._counts)[:, None]
        distinct = real & ~self.copies
        return torch.where(distinct.sum(dim=1, keepdim=True) >= needed, distinct, real)

    @property
    def _counts(self) -> list[int]:
        """The number of real examples of each row."""
        return [self.examples.shape[1]] * len(self.examples) if self.counts is None else self.counts.tolist()

    @cached_property
    def smallest(self) -> tuple[str, int]:
        """The name of a class with the fewest examples, and their number."""
        counts = self._counts
        named = [pair for pool in self.pools.values() for pair in zip(pool.names, pool.rows.tolist(), strict=True)]
        name, row = min(named, key=lambda pair: counts[pair[1]])
        return name, counts[row]


@dataclass(frozen=True, kw_only=True)
class ClassFamily:
    """N-way K-shot tasks: `ways` classes of a split, `shots` + `queries` different examples of each.

    Attributes:
        ways: Classes of a task, at least 2.
        shots: Labelled examples of each class in the support set, at least 1.
        queries: Examples of each class in the query set, at least 1.
        seed: Seed of the tasks; other seeds give other tasks from the same examples.
    """

    name: ClassVar[str]
    ways: int = 5
    shots: int = 1
    queries: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        check_number(self.name, "ways", self.ways, 2, MOST_EXAMPLES)
        check_number(self.name, "shots", self.shots, 1, MOST_EXAMPLES)
        check_number(self.name, "queries", self.queries, 1, MOST_EXAMPLES)
        check_number(self.name, "seed", self.seed, 0, LARGEST_SEED)

    def load(self) -> ClassData:
        """The data set, which the subclass caches for the life of the process."""
        raise NotImplementedError

    def inputs(self, examples: Tensor) -> Tensor:
        """Inputs of the network, float32, for examples `(tasks, ways, examples, *shape)` of any shape."""
        return examples

    def transformed(self, x: Tensor, keys: Tensor, split: Split) -> Tensor:
        """The inputs `(tasks, ways, examples, *input_shape)` after augmentation, of which most families have none.

        Args:
            x: The inputs as `inputs` gives them.
            keys: Keys of the tasks (`counter_hash.task_keys`), (tasks,).
            split: Split of the tasks.
        """
        return x

    @property
    def shape(self) -> TaskShape:
        raise NotImplementedError

    def check(self) -> None:
        """Loads the data, and logs a warning where classes have identical examples.

        Raises:
            DataError: The data is missing, damaged or too small for these tasks.
        """
        data = self._checked()
        twice = set(data.copies.any(dim=1).nonzero().flatten().tolist())
        pairs = (pair for pool in data.pools.values() for pair in zip(pool.names, pool.rows.tolist(), strict=True))
        named = [name for name, row in pairs if row in twice]
        if named:
            log.warning(
                "%s: %d classes have an example twice, the first of them %r; a task has one of the two, where the "
                "class has enough others",
                *(self.name, len(twice), named[0]),
            )

    def classes(self, split: Split) -> list[str]:
        """Names of the classes of a split."""
        return list(_pool(self._checked(), split).names)

    def sizes(self, split: Split) -> list[int]:
        """Number of examples of each class of a split."""
        data = self._checked()
        return [len(data.row(row)) for row in _pool(data, split).rows.tolist()]

    def units(self, split: Split) -> tuple[str, tuple[int, ...]]:
        """Unit of each class (`nas.protocols.Grouped`): its row of examples, which its rotations share."""
        return "classes", tuple(_pool(self._checked(), split).rows.tolist())

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks: the options, and a digest of the examples and of the classes of each split."""
        options = {key: value for key, value in options_of(self).items() if key not in {"path", "download"}}
        return {"name": self.name, **options, "digest": self._checked().digest}

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch:
        """Tasks by number, the same on every device and in any batch.

        Args:
            split: Split of the tasks.
            indices: Numbers of the tasks, any whole numbers from 0.
            device: Device of the tensors.

        Returns:
            The tasks, with support_x (tasks, ways * shots, *input_shape) and query_x (tasks, ways * queries,
            *input_shape), both sorted by label. The label of a class is its position in a random order of the task's
            classes.

        Raises:
            ConfigError: The split is unknown.
            DataError: As `check`.
        """
        checked = self._checked()
        data, usable = _on_device(checked, device), _usable(checked, self.shots + self.queries, device)
        pool = _pool(data, split)
        keys = task_keys(seed=self.seed, split=split, indices=indices, device=device)
        classes = _choose_classes(keys, pool, self.ways)
        ways = torch.arange(self.ways, device=device)
        numbers = choose(
            fold(keys[:, None], ways + _EXAMPLES),
            population=data.most,
            count=self.shots + self.queries,
            allowed=usable[pool.rows[classes]],
        )
        x = self.transformed(self.inputs(_taken(data, pool, classes, numbers)), keys, split)
        return TaskBatch(
            support_x=x[:, :, : self.shots].flatten(1, 2),
            support_y=ways.repeat_interleave(self.shots).repeat(len(keys), 1),
            query_x=x[:, :, self.shots :].flatten(1, 2),
            query_y=ways.repeat_interleave(self.queries).repeat(len(keys), 1),
            classes=classes,
        )

    def _checked(self) -> ClassData:
        data = self.load()
        smallest, count = data.smallest
        if self.shots + self.queries > count:
            raise DataError(
                f"{self.name}: shots = {self.shots} and queries = {self.queries} need {self.shots + self.queries} "
                f"examples a class; {smallest!r} has {count}: lower shots or queries"
            )
        for split in SPLITS:
            most = data.pools[split].most_ways
            if self.ways > most:
                raise DataError(
                    f"{self.name}: ways = {self.ways} classes a task, but the {split} split has {most}: lower ways"
                )
        return data


def _pool(data: ClassData, split: Split) -> ClassPool:
    if split not in data.pools:
        raise ConfigError(f"there is no split {split!r} of the tasks; {nearest(str(split), SPLITS)}")
    return data.pools[split]


@lru_cache(maxsize=4)
def _on_device(data: ClassData, device: torch.device) -> ClassData:
    """The same data on `device`: one copy in a process for as long as the data set is kept."""
    counts, starts = (None if each is None else each.to(device) for each in (data.counts, data.starts))
    pools = {split: pool.to(device) for split, pool in data.pools.items()}
    return ClassData(data.examples.to(device), pools, counts, starts)


@lru_cache(maxsize=4)
def _usable(data: ClassData, needed: int, device: torch.device) -> Tensor:
    return data.usable(needed).to(device)


def _choose_classes(keys: Tensor, pool: ClassPool, ways: int) -> Tensor:
    """Positions in the pool, (tasks, ways), distinct and in random order.

    All are of one group where there are groups, and no two are variants of one character.
    """
    if pool.variants is not None:
        characters, number = pool.variants.shape
        chosen = choose(fold(keys, _CLASSES), population=characters, count=ways)
        variants = choose(fold(fold(keys, _VARIANTS)[:, None], chosen), population=number, count=1)
        return pool.variants[chosen, variants[..., 0]]
    population, allowed = len(pool.names), None
    if pool.groups is not None:
        group = choose(fold(keys, _GROUPS), population=int(pool.groups.max()) + 1, count=1)
        allowed = pool.groups == group
    return choose(fold(keys, _CLASSES), population=population, count=ways, allowed=allowed)


def _taken(data: ClassData, pool: ClassPool, classes: Tensor, numbers: Tensor) -> Tensor:
    """Examples (tasks, ways, examples, *shape) by `classes` (tasks, ways) and `numbers` (tasks, ways, examples).

    Images (…, side, side) of classes with `turns` are rotated.
    """
    taken = data.taken(pool.rows[classes], numbers)
    if pool.turns is None:
        return taken
    side = taken.shape[-1]
    pixels = torch.arange(side * side, device=taken.device).view(side, side)
    turned = torch.stack([pixels.rot90(k).flatten() for k in range(4)])
    flat = taken.flatten(-2)
    places = turned[pool.turns[classes]].view(*classes.shape, *[1] * (flat.dim() - 3), -1).expand_as(flat)
    return flat.gather(-1, places).view_as(taken)
