"""Images of a folder with the split of each class."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from nas.data.image_folders import ClassFolder, ImageListing, list_classes, named
from nas.data.image_set import ImageSet, ReadingOptions, read_set
from nas.errors import ConfigError, DataError, nearest
from nas.regular_files import MIB, read_text
from nas.task import Split

from .counter_hash import SPLITS
from .splits import split_by_hash

Splits = Literal["auto", "ratio", "groups", "folders"]
SPLIT_FOLDERS: Final[Mapping[str, Split]] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
"""Splits by the names that their folders, and the lines of a listing file, may have."""
LEAST_GROUPS: Final = 3
MOST_SPLIT_BYTES: Final = 64 * MIB
"""Maximum size of a file that lists the split of each class."""


@dataclass(frozen=True, eq=False)
class FolderImages:
    """The images of a folder.

    Attributes:
        listing: The classes.
        set: Their images.
        given: The split of each class by name, where folders or a file give it; else None.
        by_group: Whether whole groups are split.
    """

    listing: ImageListing
    set: ImageSet
    given: Mapping[str, Split] | None
    by_group: bool


@lru_cache(maxsize=2)
def folder_images(path: Path, splits: Splits, split_file: Path | None, options: ReadingOptions) -> FolderImages:
    """Reads a folder, once in a process for the same options.

    Raises:
        ConfigError: The images would take too much memory, or `splits` does not fit the folder.
        DataError: The folder or the file of splits cannot be used.
    """
    folders = split_folders(path)
    if split_file is None and (splits == "folders" or (splits == "auto" and len(set(folders.values())) == 3)):
        listing, given = _of_split_folders(path, folders)
        return FolderImages(listing, read_set(listing, options), given, by_group=False)
    listing = list_classes(path)
    groups = {each.group for each in listing.classes if each.group}
    if split_file is None and groups and groups <= folders.keys():  # The same class may be in several of them.
        raise ConfigError(
            f"image-folder: {path} has the folders {', '.join(sorted(groups))}, which are splits, no groups; set path "
            "to one of them to split its classes, or make train, validation and test folders of different classes"
        )
    if splits == "groups" and len(groups) < LEAST_GROUPS:
        raise ConfigError(
            f"image-folder splits = 'groups' needs at least {LEAST_GROUPS} groups of class folders; {path} has "
            f"{len(groups)}: use splits = 'ratio'"
        )
    named_splits = None if split_file is None else read_split_file(split_file, listing)
    by_group = named_splits is None and splits in ("auto", "groups") and len(groups) >= LEAST_GROUPS
    return FolderImages(listing, read_set(listing, options), named_splits, by_group)


def split_folders(path: Path) -> dict[str, Split]:
    """The split of each sub-folder that is named after one."""
    entries = [entry.name for entry in path.iterdir() if entry.is_dir()] if path.is_dir() else []
    return {name: SPLIT_FOLDERS[name.lower()] for name in sorted(entries) if name.lower() in SPLIT_FOLDERS}


def split_names(images: FolderImages, usable: Sequence[str], ways: int) -> Mapping[Split, Sequence[str]]:
    """The usable classes of each split.

    Args:
        images: The images.
        usable: Names of the classes with enough images, sorted.
        ways: Classes that each split needs.
    """
    if images.given is not None:
        given = images.given
        return {split: [name for name in usable if given.get(name) == split] for split in SPLITS}
    if not images.by_group:
        return split_by_hash(usable, ways)
    groups = split_by_hash(sorted({name.partition("/")[0] for name in usable}), 1)
    return {split: [name for name in usable if name.partition("/")[0] in groups[split]] for split in SPLITS}


def read_split_file(file: Path, listing: ImageListing) -> dict[str, Split]:
    """The split of each class that a file names, a line CLASS,SPLIT each.

    Raises:
        DataError: The file cannot be read, or a line names no class of the listing or no split.
    """
    file = file.expanduser()
    try:
        lines = read_text(file, MOST_SPLIT_BYTES).splitlines()
    except DataError as error:
        raise DataError(f"{error}; write a text file with a line CLASS,SPLIT for each class") from None
    classes = [each.name for each in listing.classes]
    given: dict[str, Split] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, comma, split = line.strip().rpartition(",")
        name = unicodedata.normalize("NFC", name.strip().strip('"'))
        split = split.strip().strip('"')
        if number == 1 and (name.lower(), split.lower()) == ("class", "split"):
            continue
        if not comma or split.lower() not in SPLIT_FOLDERS:
            raise DataError(f"{file}:{number}: {line.strip()!r} is not CLASS,SPLIT; splits are train, validation, test")
        if name not in classes:
            raise DataError(f"{file}:{number}: {listing.folder} has no class {name!r}: {nearest(name, classes)}")
        if given.setdefault(name, SPLIT_FOLDERS[split.lower()]) != SPLIT_FOLDERS[split.lower()]:
            raise DataError(f"{file}:{number}: class {name!r} is in two splits; each class belongs to one")
    return given


def _of_split_folders(path: Path, folders: Mapping[str, Split]) -> tuple[ImageListing, dict[str, Split]]:
    missing = [split for split in SPLITS if split not in folders.values()]
    if missing:
        raise ConfigError(
            f"image-folder splits = 'folders' needs the folders train, validation and test; {path} has no {missing[0]}"
        )
    classes: list[ClassFolder] = []
    skipped: list[str] = []
    given: dict[str, Split] = {}
    for name, split in folders.items():
        if (path / name).is_symlink():
            raise DataError(f"{path / name} is a link; splits = 'folders' needs folders of their own")
        listing = list_classes(path / name)
        twice = [each.name for each in listing.classes if given.setdefault(each.name, split) != split]
        if twice:
            raise DataError(
                f"{path}: {named(twice)} are classes in two splits; the classes of a task for testing must be new: "
                "rename them, or move all their images into one split"
            )
        classes += listing.classes
        skipped += [f"{name}: {line}" for line in listing.skipped]
    listing = ImageListing(path, tuple(sorted(classes, key=lambda each: each.name)), tuple(skipped))
    return listing, given
