"""Operations on the levels of pixels in batches of images, with the arithmetic of Pillow's `ImageOps`.

Images are uint8 (n, channels, height, width), values float64 (n,).
"""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 256


def invert(images: Tensor) -> Tensor:
    """Levels subtracted from 255, `ImageOps.invert`."""
    return ~images


def solarize(images: Tensor, values: Tensor) -> Tensor:
    """Inverted levels where they are at least the value in [0, 256], `ImageOps.solarize`."""
    thresholds = values.ceil()[:, None, None, None]
    inverted = torch.where(thresholds > 255, 0, 255).to(torch.uint8)
    # Comparison in place keeps uint8, which is several times as fast as a result of type bool.
    reached = images.clone().ge_(thresholds.clamp(0, 255).to(torch.uint8))
    return reached.mul_(inverted).bitwise_xor_(images)


def posterize(images: Tensor, values: Tensor) -> Tensor:
    """Levels of which only the highest int(value) bits are kept, value in [0, 8], `ImageOps.posterize`."""
    powers = 2 ** (8 - values.long())
    return images & (LEVELS - powers).to(torch.uint8)[:, None, None, None]


def autocontrast(images: Tensor) -> Tensor:
    """Levels of each channel stretched linearly to [0, 255], `ImageOps.autocontrast`; constant channels stay."""
    planes = images.flatten(2)
    lowest, highest = (level.double() for level in (planes.amin(2, keepdim=True), planes.amax(2, keepdim=True)))
    constant = highest == lowest
    # `255 / tensor` would be 255 times the reciprocal, which rounds otherwise than Python's division.
    scale = torch.where(constant, 1.0, torch.full_like(lowest, 255.0) / (highest - lowest))
    offset = torch.where(constant, 0.0, -lowest * scale)
    # Levels lie between the lowest and the highest, so nothing is outside [0, 256). A cast by way of int16 is faster.
    return planes.double().mul_(scale).add_(offset).to(torch.int16).to(torch.uint8).view(images.shape)


def equalize(images: Tensor) -> Tensor:
    """Levels of each channel spread to a uniform histogram, `ImageOps.equalize`."""
    planes = images.flatten(0, 1).flatten(1)
    number = len(planes)
    firsts = torch.arange(0, number * LEVELS, LEVELS, dtype=torch.int32, device=images.device)[:, None]
    bins = planes.int().add_(firsts).flatten()
    counts = torch.bincount(bins, minlength=number * LEVELS).view(number, LEVELS)
    return _equalizing_levels(counts, planes.amax(1)).flatten().index_select(0, bins).view(images.shape)


def _equalizing_levels(counts: Tensor, highest: Tensor) -> Tensor:
    """New levels (planes, 256) uint8 for pixel counts (planes, 256) int64 and the highest levels, (planes,) uint8."""
    below = counts.cumsum(1).sub_(counts)
    steps = below.gather(1, highest.long()[:, None]) // 255
    # Quotients of whole numbers are far enough from the next whole number for float64, which divides faster.
    spread = below.add_(steps // 2).double().div_(steps.clamp(min=1)).clamp_(max=255).to(torch.int16).to(torch.uint8)
    unchanged = torch.arange(LEVELS, device=counts.device).to(torch.uint8)
    return torch.where(steps > 0, spread, unchanged)
