"""Inner steps by a learned optimizer (Andrychowicz et al., arXiv 1606.04474)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..optimizers.files import ExportedOptimizer
from ..optimizers.lstm import LstmState, initial_state, preprocess, step
from .vectorised.per_task_weights import Parameters


@torch.no_grad()
def learned_directions(
    optimizer: ExportedOptimizer, gradients: Parameters, state: LstmState | None
) -> tuple[dict[str, Tensor], LstmState]:
    """Directions of descent of each task, the negatives of the optimizer's updates.

    Args:
        optimizer: The learned optimizer.
        gradients: Gradients by name, (tasks, *shape); the same names in each step.
        state: State before the step; None for the first.

    Returns:
        Directions by name, (tasks, *shape), detached, and the state after the step.
    """
    flat = torch.cat([gradient.flatten(1) for gradient in gradients.values()], dim=1)
    coordinates = flat.reshape(-1)
    if state is None:
        state = initial_state(optimizer.spec, len(coordinates), flat)
    weights = {name: weight.to(flat) for name, weight in optimizer.weights.items()}
    updates, after = step(optimizer.spec, weights, preprocess(coordinates, optimizer.spec.preprocessing), state)
    parts = torch.split(-updates.view_as(flat), [gradient[0].numel() for gradient in gradients.values()], dim=1)
    return {n: p.reshape(gradients[n].shape) for n, p in zip(gradients, parts, strict=True)}, after
