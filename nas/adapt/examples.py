"""Examples of a user's task, read from a folder of images or a file of numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..failures import attempt, reason
from ..labels import UNKNOWN
from ..task import TaskShape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image
    from torch import Tensor


IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Suffixes of image files, in lower case."""


@dataclass(frozen=True)
class Examples:
    """Examples of one task.

    Attributes:
        x: Inputs (examples, *input_shape).
        y: Targets (examples, num_outputs), or class numbers from 0; zeros where they are not known.
        sources: The file of each example, with its row where the file has several.
        labelled: Whether all labels are known.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32] | Sequence[int]
    sources: tuple[str, ...]
    labelled: bool


def classes_of(names: tuple[str, ...], support: Path, shape: TaskShape) -> tuple[str, ...]:
    """Checks the number of a support set's classes, and returns their names unchanged.

    Raises:
        DataError: There are fewer than two, or more than the network has outputs.
    """
    if not 2 <= len(names) <= shape.num_outputs:
        raise DataError(
            f"{support} holds {len(names)} classes; this network was made for 2 to {shape.num_outputs} of them"
        )
    return names


def _known(classes: Iterable[str], names: Sequence[str], where: Path) -> None:
    unknown = sorted(set(classes) - set(names))
    if unknown:
        raise DataError(f"{where} has class {unknown[0]!r}, which the support set does not: {', '.join(names)}")


def labelled_examples(x: Tensor, labels: Sequence[str], path: Path, names: Sequence[str]) -> Examples:
    """Examples that a task family read, sorted by class where all are known.

    Args:
        x: Inputs (examples, *input_shape).
        labels: The class of each, UNKNOWN where it is not known.
        path: The file that they were read from.
        names: The classes of the support set.

    Raises:
        DataError: A class is not one of the support set's.
    """
    _known(set(labels) - {UNKNOWN}, names, path)
    labelled = UNKNOWN not in labels
    order = sorted(range(len(labels)), key=lambda i: labels[i] if labelled else "")
    y = [names.index(labels[i]) if labelled else 0 for i in order]
    return Examples(x.numpy()[order], y, tuple(f"{path}:{i + 1}" for i in order), labelled)


def class_names(folder: Path) -> tuple[str, ...]:
    """The sorted names of the sub-folders that hold images. Raises DataError where there is no such folder."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one with a sub-folder of images for each class")
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _image_files(entry)))


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)


def read_images(folder: Path, shape: TaskShape, names: Sequence[str]) -> Examples:
    """The images in the sub-folders of a folder, one for each class; without any, the images in it, unlabelled.

    Args:
        folder: The folder.
        shape: The network's task, with inputs (channels, height, width).
        names: The classes of the support set.

    Raises:
        DataError: There are no images, one is damaged, or a class is not one of the support set's.
    """
    import numpy as np

    if len(shape.input_shape) != 3:
        raise DataError(f"this network's inputs are {shape.input_shape}, not images; its tasks must read {folder}")
    classes = class_names(folder)
    _known(classes, names, folder)
    files = [(path, names.index(name)) for name in classes for path in _image_files(folder / name)]
    labelled = bool(files)
    files = files or [(path, 0) for path in _image_files(folder)]
    if not files:
        raise DataError(f"{folder} holds no images ({' '.join(IMAGES)}), neither in sub-folders nor by itself")
    x = np.stack([_image(path, shape.input_shape) for path, _ in files])
    return Examples(x, [label for _, label in files], tuple(str(path) for path, _ in files), labelled)


def _image(path: Path, input_shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """One image as (channels, height, width) in [0, 1]. In a grey image the rarer shade, the ink, is 1."""
    import numpy as np
    from PIL import Image

    channels, height, width = input_shape

    def read() -> Image.Image:
        with Image.open(path) as image:
            return _plain(image).convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BOX)

    small = attempt(read)  # each image format has errors of its own for a damaged file
    if small.error is not None:
        raise DataError(f"{path} cannot be read as an image: {reason(small.error)}")
    values = np.asarray(small.value, dtype=np.float32) / np.float32(255)
    if channels == 1:
        ink = 1 - values if np.median(values) > 0.5 else values
        return ink[None].astype(np.float32)
    return values.transpose(2, 0, 1).astype(np.float32)


def _plain(image: Image) -> Image:
    """The image as a viewer shows it: upright, on white where it is transparent, with 8 bits for each channel."""
    import numpy as np
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        shades = np.asarray(upright, dtype=np.float64)
        return Image.fromarray((255 * (shades - shades.min()) / (np.ptp(shades) or 1)).astype(np.uint8))
    if not upright.has_transparency_data:
        return upright
    paper = Image.new("RGBA", upright.size, "white")
    return Image.alpha_composite(paper, upright.convert("RGBA")).convert("RGB")


def read_numbers(path: Path, shape: TaskShape, *, labelled: bool = True) -> Examples:
    """The rows of a CSV file of numbers, each with the inputs of an example and then its targets.

    Args:
        path: The file.
        shape: The network's task: it tells how many inputs and targets there are.
        labelled: Whether the targets must be there.

    Raises:
        DataError: The file cannot be read, or has other numbers in a row.
    """
    import numpy as np

    inputs, targets = math.prod(shape.input_shape), shape.num_outputs
    try:
        with warnings.catch_warnings(action="ignore"):  # numpy warns of a file without rows
            table = np.loadtxt(path, delimiter=",", dtype=np.float32, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a CSV file of numbers: {error}") from None
    known = table.shape[1] == inputs + targets
    if not table.size or not (known or (not labelled and table.shape[1] == inputs)):
        raise DataError(
            f"{path} has {len(table)} rows of {table.shape[1]} numbers; it needs rows of {inputs + targets}: "
            f"{inputs} inputs, {targets} targets"
        )
    if not np.isfinite(table).all():
        raise DataError(f"{path} holds a number that is not finite; leave its row out")
    sources = tuple(f"{path}:{row + 1}" for row in range(len(table)))
    y = table[:, inputs:] if known else np.zeros((len(table), targets), dtype=np.float32)
    return Examples(table[:, :inputs].reshape(-1, *shape.input_shape), y, sources, known)
