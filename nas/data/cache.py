"""Cache of data that were read from many files: one safetensors file in the folder of runs for each set of files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..locations import runs_folder

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)
FOLDER: Final = ".data"
"""The cache's folder in the folder of runs."""
CONTENT: Final = "content"  # The key of the description in a file's metadata.
TENSOR: Final = "examples"


def key_of(root: Path, files: Iterable[Path], options: Mapping[str, Any]) -> str:
    """A digest of the names, sizes and times of files and of the options with which they are read.

    Args:
        root: The folder to which the names are relative.
        files: The files; one that cannot be examined counts by its name alone.
        options: JSON values.
    """
    sha = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    start = len(os.fspath(root)) + 1
    for file in files:
        try:
            status = os.stat(file)
            stamp = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            stamp = ""
        sha.update(f"{os.fspath(file)[start:]}\0{stamp}\0".encode(errors="surrogateescape"))
    return sha.hexdigest()[:32]


def load(key: str) -> tuple[Tensor, dict[str, Any]] | None:
    """The tensor and its description under a key; None where there is none, or the file is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_file(key), framework="pt") as file:
            content = json.loads((file.metadata() or {})[CONTENT])
            return file.get_tensor(TENSOR), content
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        log.warning("%s is damaged (%s); the data are read anew", _file(key), error)
        return None


def save(key: str, tensor: Tensor, content: Mapping[str, Any]) -> None:
    """Keeps a tensor with a description (JSON values). A folder that cannot be written is said, and nothing is kept."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    file = _file(key)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({TENSOR: tensor}, part, metadata={CONTENT: json.dumps(content)})
        part.replace(file)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        log.warning("%s cannot be written (%s); the data are read anew at each start", file, error)


def _file(key: str) -> Path:
    return runs_folder() / FOLDER / f"{key}.safetensors"
