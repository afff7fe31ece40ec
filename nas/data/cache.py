"""Cache of data that were read from many files: one safetensors file in the folder of runs for each set of files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import zlib
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
CHECKSUM: Final = "crc32"  # The key of the checksum of tensor and description, which finds damage.


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
            metadata = file.metadata() or {}
            content, tensor = json.loads(metadata[CONTENT]), file.get_tensor(TENSOR)
        if metadata[CHECKSUM] != _checksum(tensor, metadata[CONTENT]):
            raise ValueError("its checksum does not fit")
        return tensor, content
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        log.warning("%s is damaged (%s); the data are read anew", _file(key), error)
        return None


def save(key: str, tensor: Tensor, content: Mapping[str, Any]) -> None:
    """Keeps a tensor of bytes with a description (JSON values).

    The file appears when it is complete, so processes may save and load at once. A folder that cannot be written is
    said, and nothing is kept. The file is written from the tensor's own memory, because the writer of safetensors
    would copy it.

    Args:
        key: A key of `key_of`.
        tensor: A contiguous uint8 tensor on the CPU.
        content: Its description.
    """
    text = json.dumps(content)
    header = {
        "__metadata__": {CONTENT: text, CHECKSUM: _checksum(tensor, text)},
        TENSOR: {"dtype": "U8", "shape": list(tensor.shape), "data_offsets": [0, tensor.numel()]},
    }
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    file = _file(key)
    part = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as opened:
                opened.write(len(encoded).to_bytes(8, "little") + encoded)
                opened.write(tensor.numpy().data)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be written (%s); the data are read anew at each start", file, error.strerror)


def _checksum(tensor: Tensor, text: str) -> str:
    return f"{zlib.crc32(tensor.numpy().data, zlib.crc32(text.encode())):08x}"


def _file(key: str) -> Path:
    return runs_folder() / FOLDER / f"{key}.safetensors"
