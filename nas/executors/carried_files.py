"""Files that calls on other machines need: packed once, unpacked there, and found by calls in their new place."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import pickle
import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError

MADE = "complete"
"""Name of the empty file beside an unpacked tree that says that all of it is there."""
PATH, TEXT = "p", "t"
"""First letters of the marks of a `Path` and of a text."""
Pickler = type[pickle.Pickler]


@dataclass(frozen=True)
class Tree:
    """Files below one folder, or one file.

    Attributes:
        root: Absolute path of the folder or the file.
        files: The files to carry, all below `root`; `root` itself for a single file.
    """

    root: Path
    files: tuple[Path, ...]


def tree_of(path: Path) -> Tree:
    """A file, or a folder with all files below it.

    Raises:
        DataError: The path does not exist.
    """
    if path.is_dir():
        below = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
        return Tree(path, tuple(sorted(each for each in below if each.is_file())))
    if not path.is_file():
        raise DataError(f"{path} is no file or folder that could be sent to other machines; correct the path")
    return Tree(path, (path,))


def pack(trees: Sequence[Tree]) -> bytes:
    """Trees as the bytes of one tar file. Raises DataError where a file cannot be read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, tree in enumerate(trees):
            for file in tree.files:
                try:
                    archive.add(file, _place(number, tree.root, file), recursive=False)
                except OSError as error:
                    raise DataError(f"{file} cannot be read, to be sent to other machines: {error.strerror}") from None
    return buffer.getvalue()


def unpack(packed: bytes, roots: Sequence[Path], folder: Path) -> dict[str, str]:
    """Unpacks trees into a folder, once for all processes of this machine.

    Args:
        packed: What `pack` gave.
        roots: The trees' roots where they were packed.
        folder: An existing folder. The files go to a folder in it that is named by their digest.

    Returns:
        The present path of each root.
    """
    own = folder / hashlib.sha256(packed).hexdigest()[:32]
    with (folder / f"{own.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (own / MADE).exists():
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir(mode=0o700)
            with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                archive.extractall(own, filter="data")
            (own / MADE).touch()
    return {str(root): str(own / _place(number, root, root)) for number, root in enumerate(roots)}


def _place(number: int, root: Path, file: Path) -> str:
    """Where a file of a tree is in the archive. The name of the root is kept: some formats are told by it."""
    return str(Path(str(number)) / root.name / file.relative_to(root))


def dumps(value: Any, roots: Iterable[Path], pickler: Pickler = pickle.Pickler) -> bytes:
    """Pickles a value in which paths at or below the roots are marked, as texts or `Path`, also as FILE.py:NAME."""
    prefixes = tuple(str(root) for root in roots)
    buffer = io.BytesIO()

    class Marking(pickler):  # type: ignore[valid-type, misc]
        def persistent_id(self, obj: Any) -> str | None:
            if not isinstance(obj, str | Path):
                return None
            text = str(obj)
            if not text.startswith(prefixes) or not any(_below(text, prefix) for prefix in prefixes):
                return None
            return (PATH if isinstance(obj, Path) else TEXT) + text

    Marking(buffer, pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def loads(data: bytes, places: Mapping[str, str]) -> Any:
    """The value of `dumps`, with each marked path in its present place.

    Args:
        data: What `dumps` gave.
        places: Present path of each root.
    """

    class Placing(pickle.Unpickler):
        def persistent_load(self, pid: str) -> str | Path:
            kind, text = pid[0], pid[1:]
            root = max((each for each in places if _below(text, each)), key=len)
            placed = places[root] + text[len(root) :]
            return Path(placed) if kind == PATH else placed

    loaded: Any = Placing(io.BytesIO(data)).load()
    return loaded


def _below(text: str, root: str) -> bool:
    """Whether a text is a root, a path below it, or the name of a class in it."""
    return text == root or text.startswith((root + os.sep, root + ":"))
