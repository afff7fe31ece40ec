"""Folders of class folders of images, listed without opening the images."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import DataError
from .image_files import IMAGES

MOST_FILES: Final = 10_000_000
"""Maximum number of files of a folder."""
SYSTEM_FILES: Final = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})
SYSTEM_FOLDERS: Final = frozenset({"__macosx", "$recycle.bin", "system volume information", "@eadir"})
NAMED: Final = 3  # Names that a message gives before it counts the rest.


@dataclass(frozen=True)
class ClassFolder:
    """A folder of the images of one class.

    Attributes:
        name: 'CLASS' or, where classes are in groups, 'GROUP/CLASS', in Unicode's form NFC: file systems differ in the
            form in which they keep an accented letter.
        group: Name of the group; empty where there are no groups.
        images: The image files, sorted by name.
    """

    name: str
    group: str
    images: tuple[Path, ...]


@dataclass(frozen=True)
class ImageListing:
    """The classes in a folder.

    Attributes:
        folder: The folder.
        classes: The classes, sorted by name, each with at least one image.
        skipped: What was left out, in words, one line for each reason.
    """

    folder: Path
    classes: tuple[ClassFolder, ...]
    skipped: tuple[str, ...]

    @property
    def grouped(self) -> bool:
        """Whether all classes are in groups."""
        return all(each.group for each in self.classes)

    @property
    def num_images(self) -> int:
        return sum(len(each.images) for each in self.classes)


def list_classes(folder: Path) -> ImageListing:
    """The classes of a folder: its sub-folders that hold images, or those of its sub-folders, which are groups.

    Names that begin with a dot and files of operating systems are passed over. Other files, deeper folders, and links
    that lead out of the folder are left out and named in `skipped`.

    Raises:
        DataError: The folder is missing, has no images in class folders, or mixes classes and groups.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one with a sub-folder of images for each class")
    root = Path(os.path.realpath(folder))
    skipped: dict[str, list[str]] = {}
    classes, loose = [], []
    for first in _entries(root, root, skipped):
        if not first.is_dir():
            loose.append(first.name)
            continue
        images = _images(first, root, skipped)
        inner = [entry for entry in _entries(first, root, skipped) if entry.is_dir()]
        if images:
            classes.append(ClassFolder(_nfc(first.name), "", images))
            _note(skipped, "folders inside class folders", [f"{first.name}/{entry.name}" for entry in inner])
            continue
        for second in inner:
            images = _images(second, root, skipped)
            deeper = [entry for entry in _entries(second, root, skipped) if entry.is_dir()]
            _note(skipped, "folders deeper than GROUP/CLASS", [_relative(entry, root) for entry in deeper])
            if images:
                classes.append(ClassFolder(_nfc(f"{first.name}/{second.name}"), _nfc(first.name), images))
    _note(skipped, "files beside the class folders", loose)
    _check_found(folder, classes, skipped)
    return ImageListing(folder, tuple(sorted(classes, key=lambda each: each.name)), _lines(skipped))


def list_images(folder: Path) -> tuple[Path, ...]:
    """The images directly in a folder, sorted by name."""
    root = Path(os.path.realpath(folder))
    return tuple(Path(folder) / image.name for image in _images(root, root, {}))


def named(names: list[str]) -> str:
    """The first few names, and the number of the others."""
    shown = ", ".join(repr(name) for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _check_found(folder: Path, classes: list[ClassFolder], skipped: dict[str, list[str]]) -> None:
    left_out = "".join(f"; left out: {line}" for line in _lines(skipped))
    if not classes:
        raise DataError(
            f"{folder} has no folders with images in them ({' '.join(IMAGES)}); make one for each class, or "
            f"GROUP/CLASS folders{left_out}"
        )
    counts = Counter(each.name for each in classes)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise DataError(f"{folder} has two folders of the name {twice[0]!r}, in two forms of Unicode; rename one")
    flat, grouped = ([each.name for each in classes if bool(each.group) is inside] for inside in (False, True))
    if flat and grouped:
        raise DataError(
            f"{folder} has classes ({named(flat)}) beside groups of classes ({named(grouped)}); put all classes in "
            "groups, or none"
        )


def alike_but_for_case(names: list[str]) -> list[str]:
    """Names that differ from another one by upper and lower case alone, which some file systems cannot keep apart."""
    counts = Counter(name.casefold() for name in names)
    return [name for name in names if counts[name.casefold()] > 1]


def _entries(folder: Path, root: Path, skipped: dict[str, list[str]]) -> Iterator[Path]:
    """The entries of a folder by name, without hidden ones, system files, and links that lead out of `root`."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        name = entry.name.lower()
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            _note(skipped, "names that are no UTF-8", [ascii(entry.name)])
            continue
        if name.startswith(".") or name in SYSTEM_FILES or name in SYSTEM_FOLDERS:
            continue
        if entry.is_symlink() and not _inside(Path(entry.path), root):
            _note(skipped, "links that lead out of the folder", [_relative(Path(entry.path), root)])
            continue
        yield Path(entry.path)


def _images(folder: Path, root: Path, skipped: dict[str, list[str]]) -> tuple[Path, ...]:
    images, others = [], []
    for entry in _entries(folder, root, skipped):
        if entry.suffix.lower() in IMAGES and entry.is_file():
            images.append(entry)
        elif not entry.is_dir():
            others.append(_relative(entry, root))
    _note(skipped, f"files that are no images ({' '.join(IMAGES)})", others)
    return tuple(images)


def _inside(path: Path, root: Path) -> bool:
    """Whether a link leads to something in `root` that does not hold the link itself."""
    target = Path(os.path.realpath(path))
    return target.is_relative_to(root) and not path.parent.is_relative_to(target)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _note(skipped: dict[str, list[str]], why: str, names: list[str]) -> None:
    if names:
        known = skipped.setdefault(why, [])
        known += [name for name in names if name not in known]


def _lines(skipped: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(f"{len(names)} {why}: {named(names)}" for why, names in skipped.items())
