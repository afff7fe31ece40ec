"""Files of Omniglot: the official archives, extracted or not, a packed .npz, and the download."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.numpy_files import read_npz
from nas.errors import DataError
from nas.regular_files import GIB, check_regular, read_bytes

SOURCE: Final = "https://github.com/brendenlake/omniglot/raw/master/python/"
ARCHIVES: Final = {
    "images_background": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811",
}
HINT: Final = (
    "set path to a packed .npz or to a folder with images_background.zip and images_evaluation.zip "
    "(github.com/brendenlake/omniglot, folder python), or set download = true with a folder as path"
)
_ORIGINAL_SIDE: Final = 105
_SIDE: Final = 28
_MOST_BYTES: Final = 1 << 20  # Maximum size of a drawing; the official ones have a few hundred bytes.
_MOST_ARCHIVE_BYTES: Final = GIB
_TIMEOUT_S: Final = 60.0
_UNREADABLE: Final = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)  # Errors of damaged archives.


@dataclass(frozen=True, eq=False)
class Characters:
    """All characters.

    Attributes:
        images: (characters, drawers, 28, 28) uint8, ink = 255.
        names: Names of the form 'Alphabet/characterNN'.
        evaluation: Whether each character is of the evaluation set.
    """

    images: NDArray[np.uint8]
    names: tuple[str, ...]
    evaluation: tuple[bool, ...]


def read_characters(path: Path) -> Characters:
    """The characters in a packed .npz, or in a folder (or the folder of a .zip) with the two official parts.

    Raises:
        DataError: A file is missing or damaged; the message names it.
    """
    if path.suffix == ".npz":
        return _read_packed(path)
    return _read_folder(path.parent if path.suffix == ".zip" else path)


def fetch_archives(folder: Path) -> None:
    """Downloads each part of which `folder` has neither the archive nor the extracted files.

    Raises:
        DataError: A download fails.
    """
    for part, md5 in ARCHIVES.items():
        if not (folder / f"{part}.zip").exists() and not (folder / part).is_dir():
            fetch(f"{SOURCE}{part}.zip", folder / f"{part}.zip", md5=md5)


def fetch(url: str, target: Path, *, md5: str) -> None:
    """Downloads `url` to `target`, which appears only when it is complete and its md5 sum is right.

    Raises:
        DataError: The download fails or the sum differs; no file is left behind.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with urlopen(url, timeout=_TIMEOUT_S) as source, part.open("wb") as copy:
                actual = _copy(source.read, copy.write)
            if actual != md5:
                raise DataError(f"{url} arrived with md5 {actual}, not {md5}; try again, or fetch it by hand")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, HTTPException) as error:
        raise DataError(f"cannot download {url} to {target}: {error}; fetch it by hand, its md5 is {md5}") from error


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], int]) -> str:
    """Copies to the end and returns the md5 sum."""
    md5 = hashlib.md5(usedforsecurity=False)
    while block := read(1 << 16):
        md5.update(block)
        write(block)
    return md5.hexdigest()


def _read_packed(path: Path) -> Characters:
    if not path.exists():
        raise DataError(f"{path} does not exist; {HINT}")
    try:
        arrays = read_npz(path)
        images, names, evaluation = arrays["images"].copy(), arrays["names"], arrays["evaluation"]
    except KeyError as error:
        raise DataError(f"{path} cannot be read as packed Omniglot: no {error}; replace it, or {HINT}") from error
    except DataError as error:
        raise DataError(f"{path} cannot be read as packed Omniglot ({error}); replace it, or {HINT}") from None
    fits = images.dtype == np.uint8 and images.ndim == 4 and images.shape[2:] == (_SIDE, _SIDE)
    fits = fits and names.dtype.kind == "U" and evaluation.dtype == np.bool_
    if not fits or not names.shape == evaluation.shape == images.shape[:1]:
        forms = ", ".join(f"{array.dtype} {array.shape}" for array in (images, names, evaluation))
        raise DataError(
            f"{path} has images, names, evaluation of {forms}; packed Omniglot has "
            f"uint8 (characters, drawers, 28, 28), text (characters,), bool (characters,); replace it, or {HINT}"
        )
    return _distinct(Characters(images, tuple(names.tolist()), tuple(evaluation.tolist())), path)


def _read_folder(folder: Path) -> Characters:
    drawings: dict[tuple[bool, str], list[NDArray[np.uint8]]] = {}
    for part, md5 in ARCHIVES.items():
        archive, extracted = folder / f"{part}.zip", folder / part
        if not archive.is_file() and not extracted.is_dir():
            raise DataError(f"{folder} holds neither {part}.zip nor the folder {part}; {HINT}")
        try:
            for name, data in _zipped(archive) if archive.is_file() else _extracted(extracted):
                alphabet, character = PurePosixPath(name).parts[-3:-1]
                key = part == "images_evaluation", f"{alphabet}/{character}"
                drawings.setdefault(key, []).append(_shrunk(data, name))
        except (*_UNREADABLE, RuntimeError, Image.DecompressionBombError) as error:  # RuntimeError: a password.
            source = archive if archive.is_file() else extracted
            raise DataError(
                f"{source} is damaged ({error}); fetch {SOURCE}{part}.zip again, its md5 is {md5}"
            ) from error
    counts = {len(drawn) for drawn in drawings.values()}
    if len(counts) != 1:
        raise DataError(f"{folder}: characters have {sorted(counts)} drawings; all must have the same number, {HINT}")
    images = np.stack([np.stack(drawn) for drawn in drawings.values()])
    evaluation, names = zip(*drawings, strict=True)
    return _distinct(Characters(images, names, evaluation), folder)


def _distinct(characters: Characters, path: Path) -> Characters:
    if not characters.names or len(set(characters.names)) < len(characters.names):
        raise DataError(f"{path} has no characters, or two of the same name; {HINT}")
    return characters


def _zipped(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each drawing in the order of names, read in memory without extraction."""
    check_regular(archive, _MOST_ARCHIVE_BYTES)
    with zipfile.ZipFile(archive) as members:
        for member in sorted(members.infolist(), key=lambda member: member.filename):
            if _is_drawing(member.filename):
                if member.file_size > _MOST_BYTES:
                    raise ValueError(f"{member.filename} has {member.file_size} bytes")
                yield member.filename, members.read(member)


def _extracted(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.glob("*/*/*.png")):
        yield file.relative_to(folder.parent).as_posix(), read_bytes(file, _MOST_BYTES)


def _is_drawing(name: str) -> bool:
    """Whether a member is part/alphabet/character/drawing.png; archives made on a Mac hold other files too."""
    parts = PurePosixPath(name).parts
    return len(parts) == 4 and parts[0] in ARCHIVES and name.endswith(".png")


def _shrunk(data: bytes, name: str) -> NDArray[np.uint8]:
    """A drawing of black ink on white, 105 × 105, as an image with ink = 255, 28 × 28."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.size != (_ORIGINAL_SIDE, _ORIGINAL_SIDE):
            raise ValueError(f"{name} has {image.size[0]} × {image.size[1]} pixels, not 105 × 105")
        small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return 255 - np.asarray(small)
