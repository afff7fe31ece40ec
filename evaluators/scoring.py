"""How well meta-trained weights adapt: predictions after each inner step on every task of a bank, and their mean."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.protocols import Bank, Kind, Learner, TaskFamily


@dataclass(frozen=True)
class Result:
    """Mean over tasks after the last inner step, its standard error, the curve over steps, and each task's value."""

    value: float
    stderr: float
    curve: tuple[float, ...]
    per_task: tuple[float, ...]


def score(network: nn.Module, family: TaskFamily, learner: Learner, bank: Bank, *, chunk: int) -> Result:
    """Adapts to every task of the bank, at most `chunk` at once, with the learner's own number of steps."""
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    device = next(iter(parameters.values())).device
    kind = family.shape.kind
    parts = []
    for start in range(0, bank.count, chunk):
        batch = family.tasks(bank.split, bank.indices[start : start + chunk], device)
        predictions = learner.adapt(network, parameters, batch, kind, learner.steps)
        parts.append(task_values(predictions, batch.query_y, kind).double().cpu())
    values = torch.cat(parts, dim=1)
    last = values[-1]
    stderr = float(last.std() / len(last) ** 0.5) if len(last) > 1 else float("inf")
    return Result(float(last.mean()), stderr, tuple(values.mean(dim=1).tolist()), tuple(last.tolist()))


def task_values(predictions: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Each task's accuracy in [0, 1], or minus its mean squared error.

    predictions (steps, tasks, queries, outputs) and targets (tasks, queries[, outputs]) -> (steps, tasks)
    """
    if kind == "classification":
        return (predictions.argmax(dim=-1) == targets).float().mean(dim=-1)
    return -((predictions - targets) ** 2).mean(dim=(-2, -1))
