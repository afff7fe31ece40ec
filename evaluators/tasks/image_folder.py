"""Few-shot classification of a person's own images: a folder of class folders."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from nas.bounds import check_number
from nas.data.image_folders import alike_but_for_case, named
from nas.data.image_set import ReadingOptions, faults
from nas.data.preprocessing import Fit, ImagePreprocessing, to_json
from nas.errors import ConfigError, DataError
from nas.protocols import Augmentation
from nas.task import Split, TaskShape

from ..protocol_options import BEFORE, options_of
from .augmented import augmented
from .class_family import ClassData, ClassFamily, ClassPool
from .counter_hash import SPLITS
from .folder_classes import FolderImages, Splits, folder_images, split_names
from .task_augmentation import TaskAugmentation

log = logging.getLogger(__name__)
LARGEST_SIDE = 1024
"""Maximum height or width of an input in pixels."""
NOT_OF_THE_TASKS = {"path", "split_file", "max_memory_gb"}
"""Options that do not change a task, or whose effect is in the digest of the data."""


@dataclass(frozen=True, kw_only=True)
class ImageFolder(ClassFamily):
    """Own images: a folder with a folder for each class, or GROUP/CLASS folders (alphabets, sites).

    PNG, JPEG, BMP, GIF, WebP and TIFF files are read (`nas.data.image_files` has the rules) once into one tensor, which
    is cached in the folder of runs. Files that cannot be read, and classes with fewer than shots + queries images, are
    left out and said.

    Attributes:
        path: The folder.
        size: Height and width of the inputs in pixels, or one number for both; 0 takes the median of the images'
            shorter sides, at most 84.
        channels: 1 (grey) or 3 (RGB); 'auto' is 1 where no image has colour.
        fit: 'stretch' changes the aspect ratio; 'crop' cuts out the middle.
        polarity: 'invert' makes dark light; 'auto' does so for grey images on white paper, whose median pixel is above
            230 of 255; 'keep' never.
        splits: How classes are split. 'ratio': 60, 20 and 20 % by a hash of the class's name, so that a new class moves
            no other. 'groups': the same with whole groups. 'folders': `path` has the folders train, validation (val,
            valid) and test, each with class folders. 'auto': folders where they exist, else groups where there are at
            least three, else ratio.
        split_file: A text file with a line CLASS,SPLIT for each class, in place of `splits`; classes that it does not
            name are left out.
        within_group: Whether all classes of a task are of one group.
        max_memory_gb: Maximum size of the tensor of images in GiB.
        rotations: Whether each training class turned by 90, 180 and 270° is a further class; a task has at most one
            rotation of a class. Only for inputs that are as high as wide.
        flip: Whether training images are mirrored left to right at random; the other changes are as in
            `TaskAugmentation`.
        flip_vertical: Whether they are mirrored top to bottom at random.
        shift: Largest random shift of training images in pixels.
        crop: Smallest side of a random cut-out of training images, as a fraction in (0, 1].
        augmentation: A further augmentation of training images, after these; None for none.
    """

    name: ClassVar[str] = "image-folder"
    path: Path | None = None
    size: int | tuple[int, int] = 0
    channels: Literal["auto", 1, 3] = "auto"
    fit: Fit = "stretch"
    polarity: Literal["auto", "keep", "invert"] = "auto"
    splits: Splits = "auto"
    split_file: Path | None = None
    within_group: bool = False
    max_memory_gb: float = 4.0
    rotations: bool = False
    flip: bool = False
    flip_vertical: bool = False
    shift: int = 0
    crop: float = 1.0
    augmentation: Augmentation | None = field(default=None, metadata={BEFORE: None})

    def __post_init__(self) -> None:
        super().__post_init__()
        for side in self.size if isinstance(self.size, tuple) else (self.size,):
            check_number(self.name, "size", side, 1 if isinstance(self.size, tuple) else 0, LARGEST_SIDE)
        check_number(self.name, "max_memory_gb", self.max_memory_gb, 0.0, 1e6, above=True)
        check_number(self.name, "shift", self.shift, 0, LARGEST_SIDE)
        check_number(self.name, "crop", self.crop, 0.0, 1.0, above=True)

    @property
    def shape(self) -> TaskShape:
        if self.size and self.channels != "auto":
            height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
            return TaskShape((self.channels, height, width), self.ways, "classification")
        return TaskShape(self.preprocessing().input_shape, self.ways, "classification")

    def load(self) -> ClassData:
        """Reads the folder, once in a process.

        Raises:
            ConfigError: The option `path` is not set, or the images would take more than `max_memory_gb`.
            DataError: The folder cannot be used, or has too few classes.
        """
        return _data(self)

    def preprocessing(self) -> ImagePreprocessing:
        """Size, channels, fit and polarity of the inputs, as they were chosen. Raises what `load` raises."""
        return self._images().set.preprocessing

    def inventory(self) -> Mapping[str, str]:
        """Digest of the images of each class. Raises what `load` raises."""
        images = self._images()
        names = (each.name for each in images.listing.classes)
        return dict(zip(names, images.set.digests, strict=True))

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks: the options, the preprocessing, and a digest of the images and splits."""
        options = {key: value for key, value in options_of(self).items() if key not in NOT_OF_THE_TASKS}
        digest = self._checked().digest
        return {"name": self.name, **options, "preprocessing": to_json(self.preprocessing()), "digest": digest}

    def units(self, split: Split) -> tuple[str, tuple[int, ...]]:
        """Group of each class where splits are of whole groups; else its folder, which its rotations share."""
        if not self._images().by_group:
            return super().units(split)
        classes = self._images().listing.classes
        groups = [classes[row].group for row in self._checked().pools[split].rows.tolist()]
        numbers = {group: number for number, group in enumerate(sorted(set(groups)))}
        return "groups", tuple(numbers[group] for group in groups)

    def check(self) -> None:
        """Reads the images, and logs warnings of what was left out.

        Raises:
            ConfigError, DataError: As `load`.
        """
        super().check()
        if self.augmentation is not None:
            self.augmentation.check(self.shape.input_shape[0])
        for line in self.faults():
            log.warning("%s: %s", self.name, line)

    def faults(self) -> list[str]:
        """What was left out or looks wrong, in words. Raises what `load` raises."""
        images, data = self._images(), self.load()
        lines = [*images.listing.skipped, *faults(images.set)]
        alike = alike_but_for_case([each.name for each in images.listing.classes])
        if alike:
            lines.append(f"{len(alike)} class names differ in case alone: {named(alike)}; they are different classes")
        needed = self.shots + self.queries
        few = [each.name for each, n in zip(images.listing.classes, images.set.counts, strict=True) if n < needed]
        if few:
            lines.append(f"{len(few)} classes have fewer than {needed} images and are left out: {named(few)}")
        used = {row for pool in data.pools.values() for row in pool.rows.tolist()}
        left_out = [each.name for row, each in enumerate(images.listing.classes) if row not in used]
        unused = [name for name in left_out if name not in few]
        if unused:
            lines.append(f"{len(unused)} classes are in no split, or in too small a group: {named(unused)}")
        return lines

    def inputs(self, examples: Tensor) -> Tensor:
        white = torch.full((), 255.0, device=examples.device)  # as in ImageFamily
        return examples.to(torch.float32) / white

    def transformed(self, x: Tensor, keys: Tensor, split: Split) -> Tensor:
        moves = TaskAugmentation(self.flip, self.flip_vertical, self.shift, self.crop)
        if split == "train" and moves.active:
            x = moves(x, keys)
        return x if self.augmentation is None or split != "train" else augmented(x, keys, self.augmentation)

    def _images(self) -> FolderImages:
        if self.path is None:
            raise ConfigError("image-folder: path is not set; give a folder with a folder of images for each class")
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        options = ReadingOptions(
            size if all(size) else None, self.channels, self.fit, self.polarity, self.max_memory_gb
        )
        return folder_images(Path(self.path).expanduser().resolve(), self.splits, self.split_file, options)


@lru_cache(maxsize=4)
def _data(family: ImageFolder) -> ClassData:
    images = family._images()
    listing, counts = images.listing, torch.tensor(images.set.counts)
    needed = family.shots + family.queries
    rows = {each.name: row for row, each in enumerate(listing.classes) if counts[row] >= needed}
    names = split_names(images, tuple(rows), family.ways)
    if family.rotations and family.preprocessing().height != family.preprocessing().width:
        raise ConfigError("image-folder rotations = true needs inputs as high as wide; set size to one number")
    pools = {}
    for split in SPLITS:
        of_split = _in_large_groups(names[split], family.ways) if family.within_group else list(names[split])
        turns = 4 if family.rotations and split == "train" else 1
        pools[split] = _pool(of_split, rows, turns, family.within_group)
    _check_classes(family, pools, images, tuple(rows))
    starts = counts.cumsum(0) - counts
    return ClassData(images.set.images, pools, counts, starts)


def _in_large_groups(names: Sequence[str], ways: int) -> list[str]:
    groups = [name.partition("/")[0] for name in names]
    return [name for name, group in zip(names, groups, strict=True) if groups.count(group) >= ways]


def _pool(names: Sequence[str], rows: Mapping[str, int], turns: int, within_group: bool) -> ClassPool:
    """Each class in each rotation; with `within_group` a task has the classes of one group in one rotation."""
    turned = torch.arange(turns).repeat_interleave(len(names))
    groups = None
    if within_group:
        of_names = [name.partition("/")[0] for name in names]
        numbers = {group: number for number, group in enumerate(dict.fromkeys(of_names))}
        groups = torch.tensor([numbers[g] for g in of_names] * turns) + len(numbers) * turned
    variants = torch.arange(turns * len(names)).reshape(turns, len(names)).T.contiguous()
    return ClassPool(
        tuple(name + (f"@{90 * turn}" if turn else "") for turn in range(turns) for name in names),
        rows=torch.tensor([rows[name] for name in names] * turns, dtype=torch.int64),
        turns=turned if turns > 1 else None,
        groups=groups,
        variants=variants if turns > 1 and groups is None else None,
    )


def _check_classes(
    family: ImageFolder, pools: Mapping[Split, ClassPool], images: FolderImages, usable: Sequence[str]
) -> None:
    """Raises DataError where a split has fewer classes than the ways, with the settings that would fit."""
    if min(pool.most_ways for pool in pools.values()) >= family.ways:
        return
    classes = images.listing.classes
    sizes = ", ".join(f"{pools[split].most_ways} {split}" for split in SPLITS)
    few = f"; {len(classes) - len(usable)} have fewer than {family.shots + family.queries} images" * (
        len(usable) < len(classes)
    )
    inside = " in groups that are large enough" if family.within_group else ""
    fitting = _fitting_ways(family, images, usable)
    remedy = f"ways = {fitting} fits" if fitting >= 2 else "at least 6 classes are needed, two in each split"
    lower = ", or lower shots or queries" if few else ""
    raise DataError(
        f"image-folder: {family.path} has {len(classes)} classes{few}; ways = {family.ways} needs as many in each "
        f"split, and there are {sizes}{inside}: {remedy}{lower}"
    )


def _fitting_ways(family: ImageFolder, images: FolderImages, usable: Sequence[str]) -> int:
    """The largest ways for which each split has enough of the usable classes."""
    if images.given is None and not images.by_group and not family.within_group:
        return len(usable) // len(SPLITS)  # the fewest that `split_by_hash` gives a split that needs as many
    names = split_names(images, usable, family.ways)
    if not family.within_group:
        return min(len(of_split) for of_split in names.values())
    groups = (Counter(name.partition("/")[0] for name in of_split) for of_split in names.values())
    return min(max(sizes.values(), default=0) for sizes in groups)
