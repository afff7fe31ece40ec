"""Tasks as networks see them: drawn from a family, with the examples of each task in an order that says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from nas.protocols import TaskFamily
from nas.task import Split, TaskBatch

from .counter_hash import choose, fold, task_keys

_SUPPORT, _QUERY = 0, 1  # numbers of the streams that a task's key is folded into
_SEED: Final = 5  # the order of a task is a function of its split and number, whatever the family


def draw(
    family: TaskFamily, split: Split, indices: Sequence[int], device: torch.device, *, queries: int = 0
) -> TaskBatch:
    """Draw tasks of a family, with the support set and the queries of each task in random order.

    Families give examples sorted by class. In that order the place of an example in its batch would tell its class.

    Args:
        family: Where the tasks come from.
        split: Their split.
        indices: Their numbers.
        device: Where the tensors are to be.
        queries: Queries of each class to keep (of each task, in regression); 0 keeps all.

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
    """The batch with only the first `queries` queries of each of `groups` equal parts of each task; 0 keeps all."""
    if queries == 0:
        return batch

    def first(x: Tensor) -> Tensor:
        return x.reshape(len(x), groups, -1, *x.shape[2:])[:, :, :queries].flatten(1, 2)

    return replace(batch, query_x=first(batch.query_x), query_y=first(batch.query_y))


def _order(keys: Tensor, examples: int) -> Tensor:
    """(tasks, examples): for each key the numbers below `examples` in random order."""
    return choose(keys, population=examples, count=examples)


def _taken(x: Tensor, order: Tensor) -> Tensor:
    """Examples (tasks, examples, …) in the order (tasks, examples), as a tensor of its own memory."""
    return x[torch.arange(len(x), device=x.device)[:, None], order]
