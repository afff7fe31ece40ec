"""Closed-form adaptation: the head is a formula of the support set's features, without an inner loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nas.task import Kind, TaskBatch

from ..losses import task_losses
from .body_and_head import features_of, head_of, split_head
from .inner_loop import learner_parameters
from .vectorised.per_task_weights import call

Formula = Callable[[TaskBatch, Mapping[str, Tensor], int], Tensor]
"""Function of a batch of features, the learner's own parameters and the number of outputs. It gives predictions for the
queries (tasks, queries, outputs), which mean nothing for a class without support examples."""


def formula_gradient(
    network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, formula: Formula
) -> tuple[Tensor, dict[str, Tensor]]:
    """Outer loss of the formula's predictions and its gradient, as `Learner.meta_gradient`."""
    split = split_head(network)
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    predicted = formula(features_of(split, leaves, batch), learner_parameters(leaves), split.head.out_features)
    loss = task_losses(kind, predicted, batch.query_y).mean()
    gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return loss.detach(), dict(zip(leaves, gradients, strict=True))


def formula_curve(
    network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, steps: int, formula: Formula
) -> Tensor:
    """Predictions (steps + 1, tasks, queries, outputs) after 0, 1, …, `steps` steps.

    Before adaptation they are those of the network's own head, then those of the formula, which further steps do not
    change.
    """
    split = split_head(network)
    with torch.no_grad():
        features = features_of(split, parameters, batch)
        adapted = formula(features, learner_parameters(parameters), split.head.out_features)
        before = call(split.head, head_of(split, parameters), features.query_x)
    return torch.stack([before, *[adapted] * steps])
