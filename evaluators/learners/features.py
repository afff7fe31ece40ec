"""The body's features of a batch of tasks, for learners that leave the body as it is: computed once for all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import vmap

from nas.protocols import TaskBatch

from ..normalisation import queries_told, sees_batch
from .batched import call
from .heads import Split
from .inner import networks_own
from .plain import call_examples


def head_of(split: Split, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The head's own parameters, without those that are not learned."""
    return {name.removeprefix(split.prefix): p for name, p in parameters.items() if name.startswith(split.prefix)}


def features_of(split: Split, parameters: Mapping[str, Tensor], batch: TaskBatch) -> TaskBatch:
    """The batch with the body's features in place of its inputs.

    A body that treats each example by itself runs once over all tasks. One that uses batch statistics takes them inside
    one task's support or queries.
    """
    body = {name: p for name, p in networks_own(parameters).items() if not name.startswith(split.prefix)}
    tasks, support = batch.support_x.shape[:2]
    told = queries_told(split.body, batch.query_x.shape[1])
    if sees_batch(split.body) and not told:
        support_x, query_x = (_task_by_task(split.body, body, x) for x in (batch.support_x, batch.query_x))
        return replace(batch, support_x=support_x, query_x=query_x)
    x = torch.cat([batch.support_x, batch.query_x], dim=1)
    if told:
        features = vmap(lambda x: call(split.body, {**body, **told}, x))(x)
        return replace(batch, support_x=features[:, :support], query_x=features[:, support:])
    features = call_examples(split.body, body, x.flatten(0, 1))
    features = features.reshape(tasks, -1, *features.shape[1:])
    return replace(batch, support_x=features[:, :support], query_x=features[:, support:])


def _task_by_task(body: nn.Module, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The body's features of x (tasks, examples, *input_shape), with each task's examples by themselves.

    On a GPU all at once under vmap; on a CPU one task after the other, whose images then stay in the cache.
    """
    if x.device.type == "cpu":
        return torch.stack([call_examples(body, parameters, examples) for examples in x])
    features: Tensor = vmap(lambda examples: call(body, parameters, examples))(x)
    return features
