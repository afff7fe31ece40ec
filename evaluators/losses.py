"""Losses of a batch of tasks."""

from __future__ import annotations

from torch import Tensor, nn

from nas.task import Kind


def task_losses(kind: Kind, predictions: Tensor, targets: Tensor) -> Tensor:
    """Each task's mean cross-entropy, or mean squared error: (tasks, examples, outputs) -> (tasks,)."""
    if kind == "regression":
        return nn.functional.mse_loss(predictions, targets, reduction="none").mean(dim=(1, 2))
    each = nn.functional.cross_entropy(predictions.flatten(0, 1), targets.flatten(), reduction="none")
    return each.reshape(targets.shape).mean(dim=1)
