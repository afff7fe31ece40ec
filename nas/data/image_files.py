"""Image files read in one way, for training and for later use.

| file | rule |
|---|---|
| rotated by its EXIF tag | turned upright |
| transparent | laid over white |
| palette | its colours |
| CMYK, YCbCr, Lab and others | converted to RGB |
| 16 bits a channel | 65,535 is white |
| floating-point | values in [0, 1] as they are; others scaled from their least to their largest finite value, which become black and white; values that are not finite become black |
| animated, or of several pages | the first frame |

Resizing takes the mean of the covered pixels (Pillow's BOX filter).
"""  # noqa: E501  # a row of a table is a line

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..failures import attempt, reason
from ..regular_files import GIB, check_regular
from .preprocessing import ImagePreprocessing, Polarity

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Suffixes of image files, in lower case."""
FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""Formats that are opened, by Pillow's names."""
MOST_BYTES: Final = GIB // 2
"""Maximum size of an image file; 64 million pixels of 8 bytes."""
MOST_PIXELS: Final = 64_000_000
"""Maximum number of pixels of an image file; a larger one is refused before it is decoded."""
WHITE_16: Final = 65_535
ORIENTATION: Final = 0x0112
"""EXIF tag of the rotation with which an image is shown."""


def read_image(path: Path, preprocessing: ImagePreprocessing) -> NDArray[np.uint8]:
    """An image file as an input of a network, before the division by 255.

    Args:
        path: The file.
        preprocessing: The size, channels, fit and polarity of the input.

    Returns:
        (channels, height, width) uint8.

    Raises:
        DataError: The file is missing, damaged, too large or of another format; the message names it and says why.
    """
    return sized(opened(path, _side(preprocessing)), preprocessing)


@dataclass(frozen=True, eq=False)
class ConvertedImage:
    """Pixels of an image file and what was changed in them.

    Attributes:
        pixels: (channels, height, width) uint8, as `read_image` gives them.
        rules: Names of the rules that were applied (`nas.data.conversions.RULES`).
    """

    pixels: NDArray[np.uint8]
    rules: frozenset[str]


def read_converted(path: Path, preprocessing: ImagePreprocessing) -> ConvertedImage:
    """An image file as `read_image` reads it, with the rules that were applied.

    Raises:
        DataError: As `read_image`.
    """
    rules = attempt(_rules, path)  # a file that cannot be read is refused by `opened`
    image = opened(path, _side(preprocessing))
    applied = set(rules.value or ())
    if image.size != (preprocessing.width, preprocessing.height):
        applied.add("size")
    if (image.mode == "L") != (preprocessing.channels == 1):
        applied.add("colour" if image.mode == "L" else "grey")
    plain = sized(image, replace(preprocessing, polarity="keep"))
    if not inverted(plain, preprocessing.polarity):
        return ConvertedImage(plain, frozenset(applied))
    return ConvertedImage(255 - plain, frozenset(applied | {"polarity"}))


def opened(path: Path, side: int = 0) -> Image:
    """An image file as a viewer shows it, in mode L (grey) or RGB; the table above has the rules.

    Args:
        path: The file.
        side: A JPEG file of more than twice this height and width may be decoded at a fraction of its size, by means
            over its pixels, of at least 2 `side`; 0 for the whole size.

    Raises:
        DataError: As `read_image`.
    """
    image = attempt(_opened, path, side)  # each image format has errors of its own for a damaged file
    if image.error is not None:
        why = str(image.error) if isinstance(image.error, DataError) else reason(image.error)
        raise DataError(f"{path} cannot be read as an image: {why}")
    return image.value


def size_of(path: Path) -> tuple[int, int] | None:
    """Height and width of an image file from its header, before any rotation; None where it cannot be read."""
    size = attempt(_size, path).value
    return None if size is None else (size[1], size[0])


def sized(image: Image, preprocessing: ImagePreprocessing) -> NDArray[np.uint8]:
    """An image of mode L or RGB as (channels, height, width) uint8."""
    from PIL import Image

    height, width = preprocessing.height, preprocessing.width
    box = crop_box(image.size, (width, height)) if preprocessing.fit == "crop" else None
    mode = "L" if preprocessing.channels == 1 else "RGB"
    small = image.convert(mode).resize((width, height), Image.Resampling.BOX, box=box)
    values = np.asarray(small)
    values = values[None] if preprocessing.channels == 1 else values.transpose(2, 0, 1)
    return np.ascontiguousarray(255 - values if inverted(values, preprocessing.polarity) else values)


def crop_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest box in the middle of an image with the aspect ratio of `target`; both sizes are (width, height)."""
    scale = min(size[0] / target[0], size[1] / target[1])
    left, top = ((have - scale * want) / 2 for have, want in zip(size, target, strict=True))
    return left, top, size[0] - left, size[1] - top


def inverted(values: NDArray[np.uint8], polarity: Polarity) -> bool:
    """Whether an image's values are inverted: always, never, or where its median is light."""
    return polarity == "invert" or (polarity == "rarer" and bool(np.median(values) > 127.5))


def is_grey(image: Image) -> bool:
    """Whether an image of mode L or RGB has no colour, up to the rounding of a JPEG file."""
    if image.mode == "L":
        return True
    from PIL import ImageChops

    red, green, blue = image.convert("RGB").split()
    differences = (ImageChops.difference(red, green), ImageChops.difference(green, blue))
    return all(int(np.asarray(difference).max()) <= 3 for difference in differences)


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image

    check_regular(path, MOST_BYTES)
    with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
        return image.size


def _side(preprocessing: ImagePreprocessing) -> int:
    return max(preprocessing.height, preprocessing.width)


def _rules(path: Path) -> set[str]:
    """The rules that are applied to a file because of how it is stored."""
    from PIL import Image

    check_regular(path, MOST_BYTES)
    with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
        holds = {
            "orientation": image.getexif().get(ORIENTATION, 1) != 1,
            "transparency": image.has_transparency_data and not image.mode.startswith(("I", "F")),
            "palette": image.mode in ("P", "PA"),
            "16 bit": image.mode.startswith("I"),
            "floating point": image.mode == "F",
            "cmyk": image.mode == "CMYK",
            "frames": bool(getattr(image, "is_animated", False)),
        }
    return {rule for rule, applies in holds.items() if applies}


def _opened(path: Path, side: int) -> Image:
    from PIL import Image, ImageOps

    check_regular(path, MOST_BYTES)
    with warnings.catch_warnings():
        # Pillow warns of what it repairs and of large images; the limit of pixels here is lower.
        warnings.simplefilter("ignore")
        with Image.open(path, formats=FORMATS) as image:
            if image.size[0] * image.size[1] > MOST_PIXELS:
                raise DataError(f"it has {image.size[0]} × {image.size[1]} pixels; the limit is {MOST_PIXELS:,}")
            if side:
                image.draft(None, (2 * side, 2 * side))  # None keeps the mode
            return _eight_bits(ImageOps.exif_transpose(image))


def _eight_bits(image: Image) -> Image:
    """The image in mode L or RGB, on white where it is transparent."""
    from PIL import Image

    if image.mode.startswith("I"):
        shades = np.asarray(image).astype(np.int64)
        if shades.min() < 0 or shades.max() > WHITE_16:
            raise DataError(f"its values are {shades.min()} to {shades.max()}; whole numbers must be of 8 or 16 bits")
        return Image.fromarray(np.rint(shades * (255 / WHITE_16)).astype(np.uint8))
    if image.mode == "F":
        return Image.fromarray(_from_floats(np.asarray(image, dtype=np.float64)))
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    image.load()
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def _from_floats(shades: NDArray[np.float64]) -> NDArray[np.uint8]:
    finite = np.isfinite(shades)
    if not finite.any():
        raise DataError("none of its values is finite")
    least, largest = float(shades[finite].min()), float(shades[finite].max())
    if least < 0 or largest > 1:
        shades = (shades - least) / ((largest - least) or 1.0)
    scaled: NDArray[np.uint8] = np.rint(255 * np.where(finite, shades, 0)).astype(np.uint8)
    return scaled
