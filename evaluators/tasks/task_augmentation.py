"""Augmentation of image tasks: random flips, shifts and crops that are functions of the task and the example."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .counter_hash import fold, uniform

STREAM = 1 << 40
"""Number of the stream that a task's key is folded into; a family's own streams have smaller numbers."""


@dataclass(frozen=True)
class TaskAugmentation:
    """Random changes of each image of a task, support and query alike.

    Attributes:
        flip: Whether each image is mirrored left to right with probability 1/2.
        flip_vertical: Whether each image is mirrored top to bottom with probability 1/2.
        shift: Largest shift in pixels, in each direction, uniform over whole pixels; the border is repeated.
        crop: Smallest side of a square cut-out as a fraction of the image's side, in (0, 1]; the fraction is uniform up
            to 1, the place uniform, and the cut-out is resized bilinearly.
    """

    flip: bool = False
    flip_vertical: bool = False
    shift: int = 0
    crop: float = 1.0

    @property
    def active(self) -> bool:
        return self.flip or self.flip_vertical or self.shift > 0 or self.crop < 1.0

    def __call__(self, x: Tensor, keys: Tensor) -> Tensor:
        """The changed images.

        Args:
            x: Images (tasks, ways, examples, channels, height, width) float32.
            keys: Keys of the tasks, (tasks,) int64.

        Returns:
            Images of the same shape, the same for a task in any batch.
        """
        tasks, examples = len(x), x.shape[1] * x.shape[2]
        numbers = torch.arange(examples, device=x.device)
        drawn = uniform(fold(fold(keys, STREAM)[:, None], numbers), 7).flatten(0, 1)  # (images, 7)
        images = x.flatten(0, 2)
        height, width = images.shape[-2:]
        # Places of the output's pixels in the input, in pixels.
        rows = self._places(drawn[:, 0], drawn[:, 2], drawn[:, 4], drawn[:, 6], height, self.flip_vertical)
        columns = self._places(drawn[:, 1], drawn[:, 3], drawn[:, 5], drawn[:, 6], width, self.flip)
        changed = _interpolated(_interpolated(images, rows).mT, columns).mT
        return changed.reshape(tasks, *x.shape[1:])

    def _places(self, flip: Tensor, shift: Tensor, start: Tensor, scale: Tensor, side: int, flips: bool) -> Tensor:
        """Places along one axis, (images, side) float64, from uniform numbers (images,)."""
        fraction = self.crop + (1 - self.crop) * scale[:, None]
        first = start[:, None] * side * (1 - fraction)
        pixels = torch.arange(side, device=flip.device, dtype=torch.float64)
        places = first + (pixels + 0.5) * fraction - 0.5
        if flips:
            places = torch.where(flip[:, None] < 0.5, places, places.flip(1))
        moved = torch.floor(shift * (2 * self.shift + 1)) - self.shift
        return (places + moved[:, None]).clamp(0, side - 1)


def _interpolated(images: Tensor, rows: Tensor) -> Tensor:
    """Images (images, channels, height, width) at rows (images, height), linear between two; exact at whole rows."""
    below = rows.floor()
    part = (rows - below).to(images.dtype)[:, None, :, None]
    low = below.long()
    high = (low + 1).clamp(max=images.shape[-2] - 1)
    shape = (images.shape[0], images.shape[1], rows.shape[1], images.shape[3])

    def at(places: Tensor) -> Tensor:
        return images.gather(2, places[:, None, :, None].expand(shape))

    return at(low) * (1 - part) + at(high) * part
