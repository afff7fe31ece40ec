"""Losses of a batch of tasks."""

from __future__ import annotations

from torch import Tensor, nn

from nas.task import Kind


def task_losses(kind: Kind, predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean loss of each task over its examples: cross-entropy in classification, squared error in regression.

    Args:
        kind: Kind of the tasks.
        predictions: (tasks, examples, outputs).
        targets: Labels (tasks, examples), or targets (tasks, examples, outputs).

    Returns:
        Losses (tasks,).
    """
    if kind == "regression":
        return nn.functional.mse_loss(predictions, targets, reduction="none").mean(dim=(1, 2))
    each = nn.functional.cross_entropy(predictions.flatten(0, 1), targets.flatten(), reduction="none")
    return each.reshape(targets.shape).mean(dim=1)
