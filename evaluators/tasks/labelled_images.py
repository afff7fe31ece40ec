"""Own images with labels, for ordinary supervised training: a folder of class folders."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from nas.bounds import check_number
from nas.data.image_folders import ImageListing, list_classes, named
from nas.data.image_set import ImageSet, ReadingOptions, faults, read_set
from nas.data.preprocessing import Fit, ImagePreprocessing, to_json
from nas.errors import ConfigError, DataError
from nas.task import Split

from .counter_hash import SPLITS
from .folder_classes import SPLIT_FOLDERS, split_folders
from .image_folder import LARGEST_SIDE
from .labelled_family import LabelledData, LabelledFamily, in_order_of_content, split_by_content

log = logging.getLogger(__name__)
NOT_OF_THE_DATA = {"path", "max_memory_gb"}
"""Options that do not change an example, or whose effect is in the digest of the data."""


@dataclass(frozen=True, kw_only=True)
class LabelledImages(LabelledFamily):
    """Own images: a folder with a folder for each class, or folders train, validation and test with class folders each.

    Without those three, the images of each class are split 60, 20 and 20 % by a hash of their pixels, so that a new
    image moves no other; of images of one class that are the same, all but the first are left out. The files are read
    as by `image-folder`.

    Attributes:
        path: The folder.
        size: Height and width of the inputs in pixels, or one number for both; 0 takes the median of the images'
            shorter sides, at most 84.
        channels: 1 (grey) or 3 (RGB); 'auto' is 1 where no image has colour.
        fit: 'stretch' changes the aspect ratio; 'crop' cuts out the middle.
        polarity: 'invert' makes dark light; 'auto' does so for grey images on white paper; 'keep' never.
        max_memory_gb: Maximum size of the tensor of images in GiB.
    """

    name: ClassVar[str] = "labelled-images"
    path: Path | None = None
    size: int | tuple[int, int] = 0
    channels: Literal["auto", 1, 3] = "auto"
    fit: Fit = "stretch"
    polarity: Literal["auto", "keep", "invert"] = "auto"
    max_memory_gb: float = 4.0

    def __post_init__(self) -> None:
        for side in self.size if isinstance(self.size, tuple) else (self.size,):
            check_number(self.name, "size", side, 1 if isinstance(self.size, tuple) else 0, LARGEST_SIDE)
        check_number(self.name, "max_memory_gb", self.max_memory_gb, 0.0, 1e6, above=True)

    def load(self) -> LabelledData:
        """The images, read once in a process.

        Raises:
            ConfigError: The option `path` is not set, or the images would take more than `max_memory_gb`.
            DataError: The folder cannot be used, or has too few classes or images.
        """
        return _data(self)[0]

    def preprocessing(self) -> ImagePreprocessing:
        """Size, channels, fit and polarity of the inputs, as they were chosen. Raises what `load` raises."""
        return self._images()[1].preprocessing

    def inventory(self) -> Mapping[str, str]:
        """Digest of the images of each class folder. Raises what `load` raises."""
        listing, images = self._images()
        return dict(zip((each.name for each in listing.classes), images.digests, strict=True))

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks: the options, the preprocessing, and a digest of the images, labels and splits."""
        options = {key: value for key, value in asdict(self).items() if key not in NOT_OF_THE_DATA}
        digest = self.load().digest
        return {"name": self.name, **options, "preprocessing": to_json(self.preprocessing()), "digest": digest}

    def check(self) -> None:
        """Reads the images, and logs warnings of what was left out. Raises what `load` raises."""
        super().check()
        for line in self.faults():
            log.warning("%s: %s", self.name, line)

    def faults(self) -> list[str]:
        """What was left out or looks wrong, in words. Raises what `load` raises."""
        listing, images = self._images()
        copies = _data(self)[1]
        left_out = [f"{copies} images are the same as another of their class, and are left out"] if copies else []
        return [*listing.skipped, *faults(images), *left_out]

    def _images(self) -> tuple[ImageListing, ImageSet]:
        if self.path is None:
            raise ConfigError("labelled-images: path is not set; give a folder with a folder of images for each class")
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        options = ReadingOptions(
            size if all(size) else None, self.channels, self.fit, self.polarity, self.max_memory_gb
        )
        return _read(Path(self.path).expanduser().resolve(), options)


@lru_cache(maxsize=2)
def _read(path: Path, options: ReadingOptions) -> tuple[ImageListing, ImageSet]:
    listing = list_classes(path)
    return listing, read_set(listing, options)


@lru_cache(maxsize=2)
def _data(family: LabelledImages) -> tuple[LabelledData, int]:
    """The data, and how many images are left out because they are the same as another."""
    listing, images = family._images()
    given = _given_splits(listing)
    names = [each.name.partition("/")[2] if given else each.name for each in listing.classes]
    classes = sorted(set(names))
    if len(classes) < 2:
        raise DataError(f"{listing.folder} has the one class {classes[0]!r}; make a folder for each of two or more")
    numbers = [classes.index(name) for name in names]
    labels = np.repeat(numbers, images.counts)
    pixels = images.images.numpy()
    if given:
        owners = np.repeat([SPLITS.index(split) for split in given], images.counts)
        rows = {s: in_order_of_content(pixels, np.flatnonzero(owners == i).tolist()) for i, s in enumerate(SPLITS)}
        copies = 0
    else:
        split, copies = split_by_content(pixels, labels.tolist())
        rows = dict(split)
    _check_trained(labels, rows, classes)
    examples = {split: images.images[torch.tensor(of_split, dtype=torch.int64)] for split, of_split in rows.items()}
    targets = {split: torch.from_numpy(labels[of_split].astype(np.int64)) for split, of_split in rows.items()}
    return LabelledData(examples, targets, tuple(classes)), copies


def _given_splits(listing: ImageListing) -> list[Split]:
    """The split of each class folder, where these are in the folders train, validation and test; else empty.

    Raises:
        ConfigError: One of the three is missing.
    """
    groups = {each.group for each in listing.classes}
    if not groups or not groups <= split_folders(listing.folder).keys():
        return []
    missing = set(SPLITS) - {SPLIT_FOLDERS[group.lower()] for group in groups}
    if missing:
        raise ConfigError(
            f"labelled-images: {listing.folder} has folders of splits, and none for {named(sorted(missing))}; make "
            "train, validation and test with the same class folders, or put all class folders into one folder"
        )
    return [SPLIT_FOLDERS[each.group.lower()] for each in listing.classes]


def _check_trained(labels: np.ndarray[Any, Any], rows: Mapping[Split, Sequence[int]], classes: Sequence[str]) -> None:
    """Raises DataError where a class has no training image."""
    missing = sorted(set(range(len(classes))) - set(labels[list(rows["train"])].tolist()))
    if missing:
        raise DataError(
            f"labelled-images: {named([classes[i] for i in missing])} have no training images; add some, or leave the "
            "classes out"
        )
