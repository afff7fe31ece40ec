"""Contrast, colour, brightness and sharpness on batches of images, with the arithmetic of Pillow's `ImageEnhance`.

Each is a mixture `degenerate + value · (image - degenerate)` in float32, truncated and cut to [0, 255]. Images are
uint8 (n, channels, height, width), values float64 (n,) in [0.1, 1.9], where 1 is the image itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_EXACT = 1 << 24
"""Whole numbers below this are exact in float32."""


def contrast(images: Tensor, values: Tensor) -> Tensor:
    """Mixtures with the mean grey level of each image, `ImageEnhance.Contrast`."""
    pixels = images.float()
    levels = pixels if images.shape[1] == 1 else _grey(pixels)
    count = levels.shape[-2] * levels.shape[-1]
    sums = levels.sum((1, 2, 3), dtype=torch.float32 if count * 255 < LARGEST_EXACT else torch.float64)
    means = (sums.double() / count + 0.5).floor().float()
    return _mixture(pixels, means[:, None, None, None], values)


def color(images: Tensor, values: Tensor) -> Tensor:
    """Mixtures with the grey image, `ImageEnhance.Color`; images of one channel stay as they are."""
    if images.shape[1] == 1:
        return images.clone()
    pixels = images.float()
    return _mixture(pixels, _grey(pixels), values)


def brightness(images: Tensor, values: Tensor) -> Tensor:
    """Mixtures with black, `ImageEnhance.Brightness`."""
    return _truncated(images.float().mul_(_factors(values)))


def sharpness(images: Tensor, values: Tensor) -> Tensor:
    """Mixtures with the image smoothed by `ImageFilter.SMOOTH`, `ImageEnhance.Sharpness`.

    The filter leaves the border as it is, so borders, and images with a side below 3, do not change.
    """
    if min(images.shape[-2:]) < 3:
        return images.clone()
    changed = _mixture(images.float(), _smooth(images), values)
    for edge in (0, -1):
        changed[..., edge, :] = images[..., edge, :]
        changed[..., edge] = images[..., edge]
    return changed


def _mixture(pixels: Tensor, degenerate: Tensor, values: Tensor) -> Tensor:
    """The mixture as uint8; `pixels`, float32, are overwritten."""
    return _truncated(pixels.sub_(degenerate).mul_(_factors(values)).add_(degenerate))


def _truncated(levels: Tensor) -> Tensor:
    """Levels as uint8; int16 on the way is the faster cast."""
    return levels.to(torch.int16).clamp_(0, 255).to(torch.uint8)


def _factors(values: Tensor) -> Tensor:
    return values.float()[:, None, None, None]


def _grey(pixels: Tensor) -> Tensor:
    """Grey levels (n, 1, height, width) of colours (n, 3, height, width), whole float32: ITU-R 601 as Pillow rounds it.

    The weights are Pillow's, in 1/65536; all sums stay below 2**24 and are exact.
    """
    red, green, blue = pixels[:, 0:1], pixels[:, 1:2], pixels[:, 2:3]
    sums = (red * 19595).add_(green * 38470).add_(blue * 7471).add_(0x8000)
    return sums.mul_(2.0**-16).floor_()


def _smooth(images: Tensor) -> Tensor:
    """Weighted means, whole float32: weight 5/13 for a pixel, 1/13 for each of its 8 neighbours; borders mean nothing.

    The sums run over the flattened batch, where neighbours have fixed distances.
    """
    width = images.shape[-1]
    flat = images.flatten().to(torch.int16)
    triples = (flat[:-2] + flat[1:-1]).add_(flat[2:])
    sums = (triples[: -2 * width] + triples[width:-width]).add_(triples[2 * width :])
    inside = slice(width + 1, len(flat) - width - 1)
    smooth = torch.zeros(len(flat), device=images.device)
    # sum / 13 + 1/2 is at least 1/26 away from a whole number, far more than the rounding of float32.
    smooth[inside] = sums.add_(flat[inside], alpha=4)
    return smooth.mul_(1 / 13).add_(0.5).floor_().view(images.shape)
