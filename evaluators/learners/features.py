"""The body's features of a batch of tasks, for learners that leave the body as it is: computed once for all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import vmap

from nas.protocols import TaskBatch

from ..normalisation import queries_told, sees_batch
from .heads import Split
from .inner import call, channels_last, networks_own


def head_of(split: Split, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The head's own parameters, without those that are not learned."""
    return {name.removeprefix(split.prefix): p for name, p in parameters.items() if name.startswith(split.prefix)}


def features_of(split: Split, parameters: Mapping[str, Tensor], batch: TaskBatch) -> TaskBatch:
    """The batch with the body's features in place of its inputs.

    A body that treats each example by itself runs once over all tasks. One that uses batch statistics runs under vmap,
    which keeps them inside one task's support or queries; its weights are shared, so convolutions stay ordinary ones.
    """
    body = {name: p for name, p in networks_own(parameters).items() if not name.startswith(split.prefix)}
    tasks, support = batch.support_x.shape[:2]
    told = queries_told(split.body, batch.query_x.shape[1])
    if sees_batch(split.body) and not told:
        run = vmap(lambda x: call(split.body, body, x))
        return replace(batch, support_x=run(batch.support_x), query_x=run(batch.query_x))
    x = torch.cat([batch.support_x, batch.query_x], dim=1)
    if told:
        features = vmap(lambda x: call(split.body, {**body, **told}, x))(x)
        return replace(batch, support_x=features[:, :support], query_x=features[:, support:])
    x = x.flatten(0, 1)
    norms = [module for module in split.body.modules() if isinstance(module, nn.GroupNorm)]
    hooks = [norm.register_forward_pre_hook(_relaid) for norm in norms]
    try:
        features = call(split.body, body, channels_last(x))
    finally:
        for hook in hooks:
            hook.remove()
    features = features.reshape(tasks, -1, *features.shape[1:])
    return replace(batch, support_x=features[:, :support], query_x=features[:, support:])


def _relaid(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """The input of a group normalisation, not channels last where the gradient of the layer's weights is wanted but the
    input's is not: there torch 2.13 crashes."""
    (x,) = inputs
    if torch.is_grad_enabled() and not x.requires_grad:
        return (x.clone(memory_format=torch.contiguous_format),)
    return inputs
