"""Augmentation of the images of training tasks."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.protocols import Augmentation

from .counter_hash import fold, uniform

STREAM = (1 << 40) + 1
"""Number of the stream that a task's key is folded into; `task_augmentation` has the one before."""
WHITE = 255.0


def augmented(x: Tensor, keys: Tensor, augmentation: Augmentation) -> Tensor:
    """The images of tasks, support and query alike, each augmented by itself.

    Args:
        x: Images (tasks, ways, examples, channels, height, width) float32 in [0, 1], which are rounded to 8 bits.
        keys: Keys of the tasks, (tasks,) int64.
        augmentation: The augmentation.

    Returns:
        Images of the same shape, the same for a task in any batch.
    """
    numbers = torch.arange(x.shape[1] * x.shape[2], device=x.device)
    uniforms = uniform(fold(fold(keys, STREAM)[:, None], numbers), augmentation.draws).flatten(0, 1)
    white = torch.full((), WHITE, device=x.device)  # as in ImageFamily
    images = (x * white).round().to(torch.uint8).flatten(0, 2)
    return (augmentation(images, uniforms).to(torch.float32) / white).reshape(x.shape)
