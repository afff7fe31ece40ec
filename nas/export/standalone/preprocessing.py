"""Makes inputs of the network from examples: images, series, or arrays of numbers.

This needs torch; for paths and Pillow images also Pillow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

WHITE = 255
Settings = Mapping[str, Any]


def input_of(example: Any, settings: Settings | None) -> Tensor:
    """An example as an input of the network, float32.

    Args:
        example: An image, a series or an array; a torch tensor, or what torch.as_tensor takes.
        settings: The content of preprocessing.json; None for numbers that are inputs as they are.
    """
    if settings is None:
        return torch.as_tensor(example, dtype=torch.float32)
    kinds = {"image": image_input, "series": series_input, "array": array_input}
    return kinds[settings["kind"]](example, settings)


def image_input(image: Any, settings: Settings) -> Tensor:
    """An image as (channels, height, width) float32 in [0, 1]."""
    pixels = _channels(_pixels(image, settings), settings["channels"])
    height, width = settings["height"], settings["width"]
    top = left = 0.0
    if settings["fit"] == "crop":
        scale = min(pixels.shape[1] / height, pixels.shape[2] / width)
        top, left = (pixels.shape[1] - scale * height) / 2, (pixels.shape[2] - scale * width) / 2
    if pixels.shape[1:] != (height, width):
        across, down = _box(pixels.shape[2], width, left), _box(pixels.shape[1], height, top)
        pixels = torch.floor(down @ torch.floor(pixels.float() @ across.T + 0.5) + 0.5)
    values = pixels.float() / WHITE
    light = settings["polarity"] == "rarer" and values.flatten().quantile(0.5) > 0.5
    return 1 - values if light or settings["polarity"] == "invert" else values


def _box(before: int, after: int, start: float) -> Tensor:
    """Weights (after, before) of Pillow's BOX filter, which takes the mean of the pixels that a new pixel covers."""
    scale = (before - 2 * start) / after
    centres = start + (torch.arange(after, dtype=torch.float64) + 0.5) * scale
    offsets = (torch.arange(before, dtype=torch.float64) + 0.5 - centres[:, None]) / max(scale, 1.0)
    covered = ((offsets > -0.5) & (offsets <= 0.5)).float()
    return covered / covered.sum(dim=1, keepdim=True)


def _pixels(image: Any, settings: Settings) -> Tensor:
    """Values (channels, height, width) in [0, 255] of an image in any layout."""
    values = torch.as_tensor(image)
    if values.dim() == 2:
        values = values[None]
    expected = (settings["channels"], settings["height"], settings["width"])
    if values.dim() == 3 and tuple(values.shape) != expected and values.shape[2] in (1, 3) and values.shape[0] > 3:
        values = values.permute(2, 0, 1)
    if values.dim() != 3 or values.shape[0] not in (1, 3):
        raise ValueError(
            f"an image has the shape {tuple(values.shape)}, not (height, width[, 3]) or (3, height, width)"
        )
    if not values.is_floating_point():
        return values * WHITE if values.dtype == torch.bool else values
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"an image of floats has values {values.min():g} to {values.max():g}; they must be in [0, 1]")
    return torch.floor(values.float() * WHITE + 0.5)


def _channels(pixels: Tensor, channels: int) -> Tensor:
    if len(pixels) == channels:
        return pixels
    if channels == 3:
        return pixels.expand(3, -1, -1)
    red, green, blue = pixels.long()
    grey: Tensor = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16  # as Pillow does
    return grey[None]


def series_input(series: Any, settings: Settings) -> Tensor:
    """A series, (channels, values) or (values,), as (channels, length) float32."""
    values = torch.as_tensor(series, dtype=torch.float64)
    resampled = _resampled(values[None] if values.dim() == 1 else values, settings["length"])
    if settings["scale"]:
        return resampled.div(settings["scale"]).float()
    centred = resampled - resampled.mean(dim=1, keepdim=True)
    deviation = centred.square().mean(dim=1, keepdim=True).sqrt()
    flat = deviation <= 1e-9 * resampled.abs().amax(dim=1, keepdim=True)
    standardised: Tensor = torch.where(flat, 0, centred / torch.where(flat, 1, deviation)).float()
    return standardised


def _resampled(series: Tensor, length: int) -> Tensor:
    """A longer series takes means of equal parts, a shorter one is interpolated linearly."""
    count = series.shape[1]
    if count <= length:
        return _at(series, torch.linspace(0, count - 1, length, dtype=torch.float64))
    sums = F.pad(series.cumsum(dim=1), (1, 0))
    at_edges = _at(sums, torch.arange(length + 1, dtype=torch.float64) * count / length)
    return at_edges.diff(dim=1) * length / count


def _at(series: Tensor, places: Tensor) -> Tensor:
    below = places.floor().long().clamp(max=series.shape[1] - 1)
    above = (below + 1).clamp(max=series.shape[1] - 1)
    return series[:, below] + (places - below) * (series[:, above] - series[:, below])


def array_input(array: Any, settings: Settings) -> Tensor:
    """An array as float32, shifted and scaled by the mean and deviation of each feature or channel."""
    values = torch.as_tensor(array, dtype=torch.float32).reshape(settings["shape"])
    broadcast = (-1, *[1] * (values.dim() - 1))
    mean, deviation = (torch.tensor(settings[name]).view(broadcast) for name in ("mean", "deviation"))
    return (values - mean) / deviation


def opened(example: Any) -> Any:
    """An example as a tensor or an array: the image of a path, upright, with 8 bits a channel, on white paper."""
    if isinstance(example, (str, os.PathLike)):
        from PIL import Image

        with Image.open(example) as file:
            return opened(file)
    if not hasattr(example, "getbands"):
        return example
    import numpy as np
    from PIL import Image, ImageOps

    image: Image.Image = ImageOps.exif_transpose(example)
    if image.mode.startswith("I"):
        return np.rint(np.asarray(image).astype(np.int64) * (WHITE / 65_535)).astype(np.uint8)
    if image.mode == "F":
        shades = np.asarray(image, dtype=np.float64)
        finite = shades[np.isfinite(shades)]
        if finite.min() < 0 or finite.max() > 1:
            shades = (shades - finite.min()) / ((finite.max() - finite.min()) or 1.0)
        return np.rint(WHITE * np.nan_to_num(shades, nan=0, posinf=0, neginf=0)).astype(np.uint8)
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return np.array(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
