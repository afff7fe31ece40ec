"""Tasks that the data give: each is one group, and its support and query examples are drawn within the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from nas.task import Split, TaskBatch

from .counter_hash import choose, fold, task_keys

_GROUP, _EXAMPLES = 0, 1  # Numbers of the streams that a task's key is folded into.
_MOST_RANKS: Final = 2**22  # Numbers that are ranked at once, 32 MiB.


@dataclass(frozen=True, eq=False)
class GroupData:
    """Examples sorted by group, and in a group by class.

    Attributes:
        x: Inputs (examples, *input_shape) float32.
        y: Targets (examples, targets) float32 of regression tasks; None for classification.
        starts: (groups, cells) int64: place of the first example of each class of a group; one cell in regression.
        counts: (groups, cells) int64: their numbers.
        groups: Numbers of the groups of each split, int64.
        names: Names of all groups.
        classes: Names of the classes, in the order of their labels; empty in regression.
    """

    x: Tensor
    y: Tensor | None
    starts: Tensor
    counts: Tensor
    groups: Mapping[Split, Tensor]
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def to(self, device: torch.device) -> GroupData:
        groups = {split: numbers.to(device) for split, numbers in self.groups.items()}
        y = None if self.y is None else self.y.to(device)
        starts, counts = self.starts.to(device), self.counts.to(device)
        return GroupData(self.x.to(device), y, starts, counts, groups, self.names, self.classes)


@dataclass(frozen=True)
class Draw:
    """Which tasks are drawn.

    Attributes:
        seed: Seed of the tasks.
        split: Split of the tasks.
        indices: Numbers of the tasks.
        shots: Support examples of each class, or of a regression task.
        queries: Query examples of the same.
    """

    seed: int
    split: Split
    indices: Sequence[int]
    shots: int
    queries: int


def draw_tasks(data: GroupData, draw: Draw, device: torch.device) -> TaskBatch:
    """Tasks by number: a random group of the split, and `shots` + `queries` different examples of each of its classes.

    Labels are the classes' numbers, the same in every task: a class means the same in every group. For the intervals
    each class of each group counts as a class of its own, numbered within the split.
    """
    data = _on_device(data, device)
    keys = task_keys(seed=draw.seed, split=draw.split, indices=draw.indices, device=device)
    of_split = data.groups[draw.split]
    position = choose(fold(keys, _GROUP), population=len(of_split), count=1)[:, 0]
    group = of_split[position]
    cells = torch.arange(data.starts.shape[1], device=device)
    rows = _rows(data, keys, group, draw.shots + draw.queries)
    x = data.x[rows]
    if data.y is None:
        y = cells[:, None].expand(rows.shape)
        classes = position[:, None] * len(cells) + cells
    else:
        y, classes = data.y[rows], None
    parts = [part for each in (x, y) for part in (each[:, :, : draw.shots], each[:, :, draw.shots :])]
    support_x, query_x, support_y, query_y = (part.flatten(1, 2).contiguous() for part in parts)
    return TaskBatch(support_x, support_y, query_x, query_y, classes)


def _rows(data: GroupData, keys: Tensor, group: Tensor, number: int) -> Tensor:
    """Distinct examples of each cell of each task's group, (tasks, cells, number)."""
    most = int(data.counts.max())
    cells = torch.arange(data.starts.shape[1], device=keys.device)
    size = max(1, _MOST_RANKS // (len(cells) * most))
    chosen = [
        choose(
            fold(part[:, None], cells + _EXAMPLES),
            population=most,
            count=number,
            allowed=torch.arange(most, device=keys.device) < data.counts[of_part][..., None],
        )
        for part, of_part in zip(torch.split(keys, size), torch.split(group, size), strict=True)
    ]
    return torch.cat(chosen) + data.starts[group][..., None]


@lru_cache(maxsize=4)
def _on_device(data: GroupData, device: torch.device) -> GroupData:
    return data.to(device)
