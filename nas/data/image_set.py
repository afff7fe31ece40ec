"""All images of a folder of class folders, as one array."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from ..errors import ConfigError, DataError
from . import cache
from .image_files import is_grey, opened, size_of, sized
from .image_folders import ImageListing, named
from .preprocessing import Fit, ImagePreprocessing

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)
VERSION: Final = 1
"""Version of the way in which images are read; a cache of another version is not used."""
LARGEST_AUTO: Final = 84
"""Maximum side of images whose size is chosen automatically, in pixels; that of mini-ImageNet."""
SAMPLE: Final = 500  # Images whose sizes choose the size.
LIGHT: Final = 230
"""Value above which the median of all pixels means ink on white paper, out of 255."""
GIB: Final = 2**30


@dataclass(frozen=True)
class ReadingOptions:
    """How images are read.

    Attributes:
        size: (height, width) in pixels; None for a square of the images' median shorter side, at most LARGEST_AUTO.
        channels: 1 or 3; 'auto' is 1 where no image has colour, else 3.
        fit: As in `ImagePreprocessing`.
        polarity: 'keep' or 'invert'; 'auto' inverts grey images where the median of all pixels is above LIGHT, as in
            drawings on white paper.
        max_memory_gb: Maximum size of the array in GiB.
    """

    size: tuple[int, int] | None = None
    channels: Literal["auto", 1, 3] = "auto"
    fit: Fit = "stretch"
    polarity: Literal["auto", "keep", "invert"] = "auto"
    max_memory_gb: float = 4.0


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of a listing, without those that cannot be read.

    Attributes:
        images: (images, channels, height, width) uint8, sorted by class.
        counts: Number of images of each class of the listing.
        digests: Digest of the images of each class.
        unreadable: Why files were left out, one line each.
        twice: Images that stand in two classes, as pairs of file names.
        preprocessing: Size, channels and polarity that were chosen.
    """

    images: Tensor
    counts: tuple[int, ...]
    digests: tuple[str, ...]
    unreadable: tuple[str, ...]
    twice: tuple[tuple[str, str], ...]
    preprocessing: ImagePreprocessing


def read_set(listing: ImageListing, options: ReadingOptions) -> ImageSet:
    """The images of a listing, from the cache where the files have not changed since.

    Args:
        listing: The classes and their files.
        options: How they are read.

    Raises:
        ConfigError: The array would be larger than `max_memory_gb`.
        DataError: No image can be read.
    """
    files = [file for each in listing.classes for file in each.images]
    root = Path(os.path.realpath(listing.folder))
    content_options = {key: value for key, value in vars(options).items() if key != "max_memory_gb"}
    key = cache.key_of(root, files, {"version": VERSION, **content_options})
    kept = cache.load(key)
    if kept is None:
        images, description = _read(listing, files, options)
        cache.save(key, images, description)
        kept = images, description
    return _image_set(*kept)


def _image_set(images: Tensor, description: dict[str, Any]) -> ImageSet:
    return ImageSet(
        images,
        tuple(description["counts"]),
        tuple(description["digests"]),
        tuple(description["unreadable"]),
        tuple((one, other) for one, other in description["twice"]),
        ImagePreprocessing(**description["preprocessing"]),
    )


def _read(listing: ImageListing, files: Sequence[Path], options: ReadingOptions) -> tuple[Tensor, dict[str, Any]]:
    size = options.size or _median_size(files)
    channels: Literal[1, 3] = 3 if options.channels == 3 else 1
    result = _filled(files, ImagePreprocessing(channels, *size, options.fit), options)
    if result is None:  # an image has colour
        channels = 3
        result = _filled(files, ImagePreprocessing(channels, *size, options.fit), options)
    assert result is not None
    images, errors = result
    readable = np.array([error is None for error in errors])
    if not readable.any():
        raise DataError(f"none of the {len(files):,} images in {listing.folder} can be read; the first: {errors[0]}")
    owners = np.repeat(np.arange(len(listing.classes)), [len(each.images) for each in listing.classes])
    counts = np.bincount(owners[readable], minlength=len(listing.classes))
    images = _compacted(images, readable)
    invert = options.polarity == "invert" or (options.polarity == "auto" and channels == 1 and _on_paper(images))
    if invert:
        np.subtract(255, images, out=images)
    names = [file.relative_to(os.path.realpath(listing.folder)).as_posix() for file in files]
    kept_names = [name for name, kept in zip(names, readable, strict=True) if kept]
    import torch

    description = {
        "counts": counts.tolist(),
        "unreadable": [error for error in errors if error is not None],
        "preprocessing": vars(ImagePreprocessing(channels, *size, options.fit, "invert" if invert else "keep")),
        **_identities(images, owners[readable], kept_names, len(listing.classes)),
    }
    return torch.from_numpy(images), description


def _median_size(files: Sequence[Path]) -> tuple[int, int]:
    step = max(1, len(files) // SAMPLE)
    sides = [min(size) for size in map(size_of, files[::step]) if size is not None]
    side = min(LARGEST_AUTO, int(median(sides))) if sides else LARGEST_AUTO
    return side, side


def _filled(
    files: Sequence[Path], preprocessing: ImagePreprocessing, options: ReadingOptions
) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[str | None]] | None:
    """The images, and the error of each file; None where an image turns out to have colour and `channels` is auto."""
    shape = (len(files), *preprocessing.input_shape)
    _check_memory(shape, options)
    images = np.zeros(shape, dtype=np.uint8)
    errors: list[str | None] = [None] * len(files)
    stop_at_colour = options.channels == "auto" and preprocessing.channels == 1

    def read(place: int) -> bool:
        """Reads one file; returns whether it has colour, where that matters."""
        try:
            image = opened(files[place])
        except DataError as error:
            errors[place] = str(error)
            return False
        if stop_at_colour and not is_grey(image):
            return True
        images[place] = sized(image, preprocessing)
        return False

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), 256):
            if any(pool.map(read, range(start, min(start + 256, len(files))))):
                return None
    return images, errors


def _check_memory(shape: tuple[int, ...], options: ReadingOptions) -> None:
    needed = int(np.prod([float(n) for n in shape]))
    log.info("%s images of %s take %.2f GiB of memory", f"{shape[0]:,}", " × ".join(map(str, shape[1:])), needed / GIB)
    if needed > options.max_memory_gb * GIB:
        side = int((options.max_memory_gb * GIB / shape[0] / shape[1]) ** 0.5)
        raise ConfigError(
            f"{shape[0]:,} images of {' × '.join(map(str, shape[1:]))} take {needed / GIB:.1f} GiB; max_memory_gb is "
            f"{options.max_memory_gb:g}: raise it, or set size to at most {side}"
        )


def _compacted(
    images: np.ndarray[Any, np.dtype[np.uint8]], readable: np.ndarray[Any, np.dtype[np.bool_]]
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The readable images, moved to the front in place."""
    if readable.all():
        return images
    for place, source in enumerate(np.flatnonzero(readable)):
        images[place] = images[source]
    return images[: readable.sum()]


def _on_paper(images: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
    histogram = np.zeros(256, dtype=np.int64)
    for image in images:
        histogram += np.bincount(image.ravel(), minlength=256)
    return int(np.searchsorted(histogram.cumsum(), histogram.sum() / 2)) > LIGHT


def _identities(
    images: np.ndarray[Any, np.dtype[np.uint8]],
    owners: np.ndarray[Any, np.dtype[np.intp]],
    names: Sequence[str],
    num_classes: int,
) -> dict[str, Any]:
    """A digest of the images of each class, and pairs of files of two classes with the same image."""
    classes = [hashlib.sha256() for _ in range(num_classes)]
    first: dict[bytes, int] = {}
    twice = []
    for place, image in enumerate(images):
        digest = hashlib.sha256(image).digest()
        classes[owners[place]].update(digest)
        earlier = first.setdefault(digest, place)
        if owners[earlier] != owners[place]:
            twice.append([names[earlier], names[place]])
    return {"digests": [each.hexdigest()[:16] for each in classes], "twice": twice}


def faults(images: ImageSet) -> list[str]:
    """What is wrong with the images, in words."""
    lines = []
    if images.unreadable:
        lines.append(f"{len(images.unreadable)} files were left out: {images.unreadable[0]}")
    if images.twice:
        pairs = [f"{one} = {other}" for one, other in images.twice]
        lines.append(f"{len(pairs)} images stand in two classes: {named(pairs)}")
    return lines
