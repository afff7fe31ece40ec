"""Tasks drawn from a family, with the examples of each task in a random order that does not reveal their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from nas.protocols import TaskFamily
from nas.task import Split, TaskBatch

from .counter_hash import choose, fold, task_keys

_SUPPORT, _QUERY = 0, 1  # Numbers of the streams that a task's key is folded into.
_SEED: Final = 5  # One for all families: the order of a task is a function of its split and number alone.


def draw(
    family: TaskFamily, split: Split, indices: Sequence[int], device: torch.device, *, queries: int = 0
) -> TaskBatch:
    """Draws tasks of a family, with the support set and the queries of each task in random order.

    Families give examples sorted by class. In that order the position of an example in a batch would reveal its class.

    Args:
        family: Source of the tasks.
        split: Split of the tasks.
        indices: Numbers of the tasks.
        device: Device of the tensors.
        queries: Queries of each class to keep (of each task in regression); 0 keeps all.

    Returns:
        The tasks. The order is a function of the split and the task's number, the same on every device.
    """
    batch, shape = family.tasks(split, indices, device), family.shape
    batch = fewer_queries(batch, shape.num_outputs if shape.kind == "classification" else 1, queries)
    keys = task_keys(seed=_SEED, split=split, indices=indices, device=device)
    support = _order(fold(keys, _SUPPORT), batch.support_x.shape[1])
    query = _order(fold(keys, _QUERY), batch.query_x.shape[1])
    return replace(
        batch,
        support_x=_taken(batch.support_x, support),
        support_y=_taken(batch.support_y, support),
        query_x=_taken(batch.query_x, query),
        query_y=_taken(batch.query_y, query),
    )


def fewer_queries(batch: TaskBatch, groups: int, queries: int) -> TaskBatch:
    """The batch with the first `queries` queries of each of `groups` equal parts of each task; 0 keeps all."""
    if queries == 0:
        return batch

    def first(x: Tensor) -> Tensor:
        return x.reshape(len(x), groups, -1, *x.shape[2:])[:, :, :queries].flatten(1, 2)

    return replace(batch, query_x=first(batch.query_x), query_y=first(batch.query_y))


def _order(keys: Tensor, examples: int) -> Tensor:
    """The numbers below `examples` in random order for each key: (tasks, examples)."""
    return choose(keys, population=examples, count=examples)


def _taken(x: Tensor, order: Tensor) -> Tensor:
    """A copy of the examples (tasks, examples, …) in the order (tasks, examples)."""
    return x[torch.arange(len(x), device=x.device)[:, None], order]
