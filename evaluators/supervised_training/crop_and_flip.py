"""Random crops and mirror images, the standard augmentation of small images (He et al., arXiv 1512.03385, 4.2)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

DRAWS: Final = 3
"""Random numbers that one image takes."""


def crop_and_flip(images: Tensor, uniforms: Tensor, *, padding: int, flip: bool) -> Tensor:
    """Cuts each image out of itself with zeros around it, at a random place, and mirrors half of them left to right.

    Args:
        images: (images, channels, height, width), of any type.
        uniforms: (images, DRAWS) random numbers in [0, 1) on the same device: for the row, the column and the mirror.
        padding: Pixels of zeros on each side; 0 for no crop.
        flip: Whether images are mirrored.

    Returns:
        Images of the same shape and type. Their channels are last in memory.
    """
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, [padding] * 4)
    # Converted first, so that the product is exact: 2 * padding + 1 equally likely offsets.
    offsets = (uniforms[:, :2].double() * (2 * padding + 1)).long()
    rows = offsets[:, 0, None] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(count, width)
    if flip:
        columns = torch.where(uniforms[:, 2, None] < 0.5, columns.flip(1), columns)
    columns = offsets[:, 1, None] + columns
    each = torch.arange(count, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
