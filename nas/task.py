"""Values that describe tasks: their shape, batches of them, and frozen banks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


Kind = Literal["classification", "regression"]
Split = Literal["train", "validation", "test"]
FRESH = 1_000_000
"""Number of the first of the fresh validation tasks, which choose the winner; the bank of a search begins at 0."""


@dataclass(frozen=True)
class TaskShape:
    """Shape of the inputs and outputs of a task, which a network must fit.

    Attributes:
        input_shape: (channels, height, width), (channels, length) or (features,).
        num_outputs: Ways of a classification task, or size of a regression target.
        kind: Kind of the task.
    """

    input_shape: tuple[int, ...]
    num_outputs: int
    kind: Kind = "classification"


@dataclass(frozen=True)
class TaskBatch:
    """Batch of tasks.

    A family gives the examples of each task sorted by class; the evaluator puts them in random order.

    Attributes:
        support_x: `(tasks, support, *input_shape)` float32; support is ways * shots, or the shots of a regression task.
        support_y: (tasks, support) int64 labels in [0, ways), or (tasks, support, num_outputs) float32 targets.
        query_x: As `support_x`, with queries in place of shots.
        query_y: As `support_y`, with queries in place of shots.
        classes: (tasks, ways) int64: for each label the number of its class in the split; None where a family has no
            classes.
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    classes: Tensor | None = None


@dataclass(frozen=True)
class Bank:
    """Frozen set of tasks, the same for every candidate: tasks `first` to `first + count - 1` of a split.

    Attributes:
        split: Split of the tasks.
        first: Number of the first task, from 0.
        count: Number of tasks.
    """

    split: Split
    first: int
    count: int

    @property
    def indices(self) -> range:
        return range(self.first, self.first + self.count)
