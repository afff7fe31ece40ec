"""Learners without an inner loop: the head is a formula of the support set's features."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nas.task import Kind, TaskBatch

from ..losses import task_losses
from .body_and_head import features_of, head_of, split_head
from .inner_loop import extra
from .vectorised.per_task_weights import call

Formula = Callable[[TaskBatch, Mapping[str, Tensor], int], Tensor]
"""From features of a batch, what else is meta-learned and the number of outputs to predictions for the queries (tasks,
queries, outputs). What they say of a class without support examples means nothing."""


def formula_gradient(
    network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, formula: Formula
) -> tuple[Tensor, dict[str, Tensor]]:
    split = split_head(network)
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    predicted = formula(features_of(split, leaves, batch), extra(leaves), split.head.out_features)
    value = task_losses(kind, predicted, batch.query_y).mean()
    gradients = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
    return value.detach(), dict(zip(leaves, gradients, strict=True))


def formula_curve(
    network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, steps: int, formula: Formula
) -> Tensor:
    """The network's own head before adaptation; the formula after it, which further steps do not change."""
    split = split_head(network)
    with torch.no_grad():
        features = features_of(split, parameters, batch)
        adapted = formula(features, extra(parameters), split.head.out_features)
        before = call(split.head, head_of(split, parameters), features.query_x)
    return torch.stack([before, *[adapted] * steps])
