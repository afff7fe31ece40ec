"""Geometric operations on batches of images, with the arithmetic of Pillow's `Image.transform` and nearest pixels.

Images are uint8 (n, channels, height, width), values float64 (n,). Pixels from outside an image, and those of Cutout's
square, become 0, the background. The sides of an image are below 16,384, where Pillow's numbers have 16.16 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

MOST_SHEAR, MOST_TRANSLATION, MOST_ANGLE = 0.3, 0.45, 30.0
"""Largest shear (ratio), translation (fraction of the side) and angle (degrees); what is beyond counts as the end."""
ONE = 1 << 16
"""1 as a fixed-point number of 16.16 bits."""


def shear_x(images: Tensor, values: Tensor) -> Tensor:
    """Images in which row y comes from columns x + value · y: `transform(size, AFFINE, (1, value, 0, 0, 1, 0))`."""
    return _shifted_rows(images, *_shears(values, images.shape[-2]))


def shear_y(images: Tensor, values: Tensor) -> Tensor:
    """Images in which column x comes from rows y + value · x: `transform(size, AFFINE, (1, 0, 0, value, 1, 0))`."""
    return _shifted_rows(images.mT, *_shears(values, images.shape[-1])).mT


def translate_x(images: Tensor, values: Tensor) -> Tensor:
    """Images shifted to the left by value · width pixels, `transform(size, AFFINE, (1, 0, value · width, 0, 1, 0))`.

    Where value · width + 1/2 is nearer to a whole number than the rounding of float64, Pillow's repeated additions can
    drop a column; here all columns shift alike.
    """
    shifts, reach = _translations(values, images.shape[-1])
    return _shifted_rows(images, shifts[:, None], reach)


def translate_y(images: Tensor, values: Tensor) -> Tensor:
    """Images shifted upwards by value · height pixels; else as `translate_x`."""
    number, channels, height, width = images.shape
    shifts, reach = _translations(values, height)
    padded = pad(images, (0, 0, reach, reach)).flatten()
    size = height * width
    starts = torch.arange(number * channels, device=images.device).view(number, channels) * (size + 2 * reach * width)
    starts = starts + ((shifts + reach) * width)[:, None]
    return _windows(padded, starts, size).view(images.shape)


def rotate(images: Tensor, values: Tensor) -> Tensor:
    """Images turned counter-clockwise by value degrees about their centres, `Image.rotate(value)`."""
    number, channels, height, width = images.shape
    cosine, sine, x_start, y_start = _rotations(values, height, width)
    # At 30 degrees, places lie at most half the other side, times the sine of the angle, beyond an edge: a quarter.
    right, down = height // 4 + 2, width // 4 + 2
    padded = pad(images, (right, right, down, down))
    stride = width + 2 * right
    columns = torch.arange(width, dtype=torch.int32, device=images.device)
    rows = torch.arange(height, dtype=torch.int32, device=images.device)[:, None]
    x = (x_start + columns * cosine) + rows * sine
    y = (y_start - columns * sine) + rows * cosine
    places = y.bitwise_right_shift_(16).mul_(stride).add_(x.bitwise_right_shift_(16))
    planes = torch.arange(number * channels, dtype=torch.int32, device=images.device).view(number, channels, 1, 1)
    starts = planes * (stride * (height + 2 * down)) + (down * stride + right)
    # Images of one channel need no second tensor of places.
    places = places.add_(starts[:, 0]) if channels == 1 else places[:, None] + starts
    return padded.flatten().index_select(0, places.flatten()).view(images.shape)


def cutout(images: Tensor, values: Tensor, uniforms: Tensor) -> Tensor:
    """Images with a square of 0, drawn as Fast AutoAugment (Lim et al., 2019) does: `ImageDraw.rectangle`.

    A square that would begin above or left of the image is moved into it; one that ends beyond it is cut off. The
    rectangle includes its last row and column, so value · width = 2.5 gives 3 pixels. A value of 0 changes nothing.

    Args:
        images: Images.
        values: Sides of the squares as fractions of the width, in [0, 0.2].
        uniforms: Places of the centres as fractions of the width and the height, (n, 2) in [0, 1).
    """
    number, _, height, width = images.shape
    sides = values * width
    columns = _covered(uniforms[:, 0].double() * width, sides, width)
    rows = _covered(uniforms[:, 1].double() * height, sides, height)
    # Rows of masks: for each image one with the square's columns, and a last one without, chosen by a row's number.
    masks = torch.cat([255 - columns.to(torch.uint8) * 255, images.new_full((1, width), 255)])
    numbers = torch.arange(number, device=images.device)[:, None]
    kept = masks.index_select(0, torch.where(rows, numbers, number).flatten())
    return images & kept.view(number, 1, height, width)


def _shears(values: Tensor, lines: int) -> tuple[Tensor, int]:
    """Shifts of the lines in whole pixels, (n, lines) int64, and a bound on their size."""
    values = values.clamp(-MOST_SHEAR, MOST_SHEAR)
    numbers = torch.arange(lines, device=values.device)
    # Places are those of the pixels' middles, along the line and across it.
    shifts = (_fixed(0.5 + values * 0.5)[:, None] + numbers * _fixed(values)[:, None]) >> 16
    return shifts, int(MOST_SHEAR * lines) + 2


def _translations(values: Tensor, side: int) -> tuple[Tensor, int]:
    """Shifts in whole pixels, (n,) int64, and a bound on their size."""
    shifts = (values.clamp(-MOST_TRANSLATION, MOST_TRANSLATION) * side + 0.5).floor().long()
    return shifts, int(MOST_TRANSLATION * side) + 2


def _shifted_rows(images: Tensor, shifts: Tensor, reach: int) -> Tensor:
    """Images of which each row is shifted to the left.

    Args:
        images: Images.
        shifts: Shifts in pixels, (n, height) or (n, 1) int64, at most `reach` in size.
        reach: Columns of 0 to lay beside the images.
    """
    number, channels, height, width = images.shape
    padded = pad(images, (reach, reach)).contiguous()
    starts = torch.arange(number * channels * height, device=images.device).view(number, channels, height)
    starts = starts * (width + 2 * reach) + (shifts + reach)[:, None]
    return _windows(padded.flatten(), starts, width).view(images.shape)


def _windows(pixels: Tensor, starts: Tensor, length: int) -> Tensor:
    """Runs of pixels, (starts, length), out of (pixels,); a view of all runs makes each copy one contiguous piece."""
    runs = pixels.as_strided((len(pixels) - length + 1, length), (1, 1))
    return runs.index_select(0, starts.flatten())


def _rotations(values: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cosine, sine and the place of the first pixel in x and y, each (n, 1, 1) int32 in 16.16 bits, as Pillow's."""
    angles = -torch.deg2rad(values.clamp(-MOST_ANGLE, MOST_ANGLE).remainder(360.0))
    cosine, sine = (torch.round(part * 1e15) / 1e15 for part in (angles.cos(), angles.sin()))
    x, y = width / 2, height / 2
    x_start = (cosine * -x + sine * -y) + x
    y_start = (-sine * -x + cosine * -y) + y
    x_start = x_start + cosine * 0.5 + sine * 0.5
    y_start = y_start + -sine * 0.5 + cosine * 0.5
    cosine, sine, x_start, y_start = (_fixed(part).int()[:, None, None] for part in (cosine, sine, x_start, y_start))
    return cosine, sine, x_start, y_start


def _fixed(values: Tensor) -> Tensor:
    """Numbers in 16.16 bits, int64, rounded as Pillow does."""
    return (values * ONE + 0.5).floor().long()


def _covered(centres: Tensor, sides: Tensor, length: int) -> Tensor:
    """Which of the pixels along one axis a square covers, (n, length) bool."""
    first = (centres - sides / 2).clamp(min=0).floor()
    last = (first + sides).clamp(max=length).floor()
    numbers = torch.arange(length, device=centres.device)
    return (numbers >= first[:, None]) & (numbers <= last[:, None]) & (sides > 0)[:, None]
