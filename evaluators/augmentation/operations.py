"""The operations of learned augmentation policies on batches of images, a magnitude for each image.

They are those of DADA (Li et al., arXiv 2003.03780, appendix) with its ranges, and compute what Pillow computes for
each image alone; docs/how-to/augmentation.md says how closely.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from nas.augmentation_policy import OPERATIONS as NAMES
from nas.errors import ConfigError, nearest

from . import colour, geometry, levels

MOST_DRAWS = 2
"""Uniform random numbers of an image, of which an operation takes as many as it needs."""
CPU_PIXELS, OTHER_PIXELS = 1 << 19, 1 << 26
"""Pixels that are computed at once: in a CPU's caches, or in the memory of another device."""
Computation = Callable[[Tensor, Tensor, Tensor], Tensor]
ONE_OR_THREE = (1, 3)


@dataclass(frozen=True)
class Operation:
    """An augmentation operation.

    Attributes:
        name: Name, one of `nas.augmentation_policy.OPERATIONS`.
        low: Value at magnitude 0.
        high: Value at magnitude 1; between them the value is linear.
        mirrored: Whether the sign of the value is flipped with probability 1/2, as AutoAugment does.
        draws: Uniform random numbers that it takes for each image, 0 to `MOST_DRAWS`.
        channels: Numbers of channels of the images that it changes.
        apply: The operation itself: images uint8 (n, channels, height, width), values float64 (n,) in [low, high] and
            uniform numbers (n, draws) give new images of the same shape; the arguments are not changed.
    """

    name: str
    low: float
    high: float
    mirrored: bool
    draws: int
    channels: tuple[int, ...]
    apply: Computation


def apply(name: str, images: Tensor, magnitudes: Tensor, uniforms: Tensor) -> Tensor:
    """Images changed by one operation, each with its own magnitude; an image alone gives the same as in any batch.

    Color leaves images of one channel as they are, as Pillow does.

    Args:
        name: Name of the operation.
        images: Images uint8 (n, channels, height, width), of 1 or 3 channels; they are not changed.
        magnitudes: Positions in the operation's range, (n,) in [0, 1].
        uniforms: Uniform random numbers (n, `MOST_DRAWS`) in [0, 1). The first below 1/2 flips the sign of a mirrored
            operation's value; the two are the place of Cutout's centre.

    Returns:
        New images of the same shape, on the same device.

    Raises:
        ConfigError: There is no such operation, or the images are of another type or number of channels.
    """
    operation = OPERATIONS.get(name)
    if operation is None:
        raise ConfigError(f"operation {name!r}: {nearest(name, NAMES)}")
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] not in ONE_OR_THREE:
        given = f"{images.dtype} {tuple(images.shape)}"
        raise ConfigError(f"images are {given}; give uint8 (n, channels, height, width) of 1 or 3 channels")
    values = operation.low + magnitudes.double() * (operation.high - operation.low)
    if operation.mirrored:
        values = torch.where(uniforms[:, 0] < 0.5, -values, values)
    changed = torch.empty(images.shape, dtype=torch.uint8, device=images.device)
    if not images.numel():
        return changed
    pixels = CPU_PIXELS if images.device.type == "cpu" else OTHER_PIXELS
    rows = max(1, pixels // images[0].numel())
    for start in range(0, len(images), rows):
        part = slice(start, start + rows)
        changed[part] = operation.apply(images[part], values[part], uniforms[part, : operation.draws])
    return changed


def _of_image(compute: Callable[[Tensor], Tensor]) -> Computation:
    return lambda images, values, uniforms: compute(images)


def _of_value(compute: Callable[[Tensor, Tensor], Tensor]) -> Computation:
    return lambda images, values, uniforms: compute(images, values)


def _mirrored(name: str, end: float, compute: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    return Operation(name, -end, end, True, 1, ONE_OR_THREE, _of_value(compute))


def _plain(name: str, compute: Callable[[Tensor], Tensor]) -> Operation:
    return Operation(name, 0.0, 1.0, False, 0, ONE_OR_THREE, _of_image(compute))


def _valued(
    name: str, low: float, high: float, compute: Callable[[Tensor, Tensor], Tensor], channels: tuple[int, ...] = (1, 3)
) -> Operation:
    return Operation(name, low, high, False, 0, channels, _of_value(compute))


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        operation.name: operation
        for operation in (
            _mirrored("ShearX", geometry.MOST_SHEAR, geometry.shear_x),
            _mirrored("ShearY", geometry.MOST_SHEAR, geometry.shear_y),
            _mirrored("TranslateX", geometry.MOST_TRANSLATION, geometry.translate_x),
            _mirrored("TranslateY", geometry.MOST_TRANSLATION, geometry.translate_y),
            _mirrored("Rotate", geometry.MOST_ANGLE, geometry.rotate),
            _plain("AutoContrast", levels.autocontrast),
            _plain("Invert", levels.invert),
            _plain("Equalize", levels.equalize),
            _valued("Solarize", 0.0, 256.0, levels.solarize),
            _valued("Posterize", 4.0, 8.0, levels.posterize),
            _valued("Contrast", 0.1, 1.9, colour.contrast),
            _valued("Color", 0.1, 1.9, colour.color, (3,)),
            _valued("Brightness", 0.1, 1.9, colour.brightness),
            _valued("Sharpness", 0.1, 1.9, colour.sharpness),
            Operation("Cutout", 0.0, 0.2, False, 2, ONE_OR_THREE, geometry.cutout),
        )
    }
)
"""The operations by name, in the order of `nas.augmentation_policy.OPERATIONS`."""
