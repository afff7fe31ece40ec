"""Arrays of IDX files, the format of MNIST and Fashion-MNIST, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..regular_files import GIB, open_regular

MOST_BYTES: Final = 4 * GIB
"""Maximum size of an array in memory, and of a file."""
MOST_AXES: Final = 8
TYPES: Final = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""NumPy's name of each type of numbers by its code, the third byte of a file."""
_GZIP: Final = b"\x1f\x8b"
_DAMAGED: Final = (OSError, EOFError, ValueError, zlib.error, MemoryError)


def read_idx(path: Path) -> NDArray[Any]:
    """The array of an IDX file.

    The format is two zero bytes, the code of the type, the number of axes, their lengths as big-endian 32-bit numbers,
    and the numbers themselves, the last axis fastest (LeCun, Cortes & Burges, "The MNIST database of handwritten
    digits"). Whether the file is compressed is told by its first bytes, not by its name.

    Args:
        path: The file. No more of it is decompressed than its header claims, and one byte.

    Returns:
        The array, in the byte order of this machine: uint8, int8, int16, int32, float32 or float64.

    Raises:
        DataError: The file is missing, is no IDX file, or has more or fewer numbers than its header claims; or the
            array is larger than `MOST_BYTES`.
    """
    try:
        with open_regular(path, MOST_BYTES) as file:
            compressed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            if not compressed:
                return _read_array(file)
            with gzip.GzipFile(fileobj=file) as content:
                return _read_array(content)
    except _DAMAGED as error:
        why = " ".join((str(error) or type(error).__name__).split())[:300]
        raise DataError(f"{path} cannot be read as an IDX file: {why}; install or download it again") from None


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _read_array(file: _Readable) -> NDArray[Any]:
    """The array of an open file. Raises ValueError where its content is not what its header claims."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        raise ValueError(f"it begins with the bytes {magic.hex(' ') or 'of an empty file'}, not with those of an array")
    dtype, axes = np.dtype(TYPES[magic[2]]), magic[3]
    if not 1 <= axes <= MOST_AXES:
        raise ValueError(f"it has {axes} axes; 1 to {MOST_AXES} are read")
    lengths = file.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise ValueError(f"it is cut off within the lengths of its {axes} axes")
    shape = tuple(int.from_bytes(lengths[4 * axis : 4 * axis + 4], "big") for axis in range(axes))
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > MOST_BYTES:
        raise ValueError(f"an array of shape {shape} takes {claimed / GIB:,.1f} GiB; {MOST_BYTES / GIB:g} is the most")
    content = file.read(claimed)
    if len(content) < claimed:
        raise ValueError(f"it is cut off after {len(content):,} of {claimed:,} bytes of an array of shape {shape}")
    if file.read(1):
        raise ValueError(f"it has more than the {claimed:,} bytes of an array of shape {shape}")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))
