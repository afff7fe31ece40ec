"""Tasks: their shape, batches of them, and frozen banks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


Kind = Literal["classification", "regression"]
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class TaskShape:
    """What a network must fit: `input_shape` is (channels, height, width), (channels, length) or (features,);
    `num_outputs` the ways of a classification task, or the size of a regression target."""

    input_shape: tuple[int, ...]
    num_outputs: int
    kind: Kind = "classification"


@dataclass(frozen=True)
class TaskBatch:
    """Many tasks at once.

    A family gives the examples sorted by class; the evaluator puts those of each task in random order.

    support_x  (tasks, support, *input_shape) float32; support is ways * shots
    support_y  (tasks, support) int64 class in [0, ways), or (tasks, support, num_outputs) float32 targets
    query_x, query_y  the same with queries * ways (or the regression task's queries) in place of support
    classes    (tasks, ways) int64: for each label the number of its class among the split's; None where there are none
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    classes: Tensor | None = None


@dataclass(frozen=True)
class Bank:
    """A fixed set of tasks: numbers `first` to `first + count - 1` of a split, the same for whoever is measured."""

    split: Split
    first: int
    count: int

    @property
    def indices(self) -> range:
        return range(self.first, self.first + self.count)
