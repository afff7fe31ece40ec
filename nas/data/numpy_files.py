"""Arrays of .npy and .npz files, whose headers are checked before memory is taken. Nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .regular_files import GIB, check_regular

MOST_BYTES: Final = 4 * GIB
"""Maximum size of all arrays of a file in memory."""
MOST_ARRAYS: Final = 1000
_UNREADABLE: Final = (OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, RuntimeError)
_DAMAGED: Final = (*_UNREADABLE, zipfile.BadZipFile, zlib.error, MemoryError, SyntaxError, OverflowError)


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file.

    Raises:
        DataError: The file is damaged or too large, or has Python objects.
    """
    check_regular(path, MOST_BYTES)
    try:
        with path.open("rb") as file:
            return _read_array(file, path.stat().st_size, MOST_BYTES)
    except _DAMAGED as error:
        raise _unreadable(path, error) from None


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file, by name.

    Raises:
        DataError: The file is damaged, an array has Python objects, or they are too many or too large.
    """
    check_regular(path, MOST_BYTES)
    arrays: dict[str, NDArray[Any]] = {}
    left = MOST_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MOST_ARRAYS:
                raise ValueError(f"it has {len(members):,} arrays, and {MOST_ARRAYS:,} is the most")
            for member in members:
                with archive.open(member) as file:
                    name = member.filename.removesuffix(".npy")
                    arrays[name] = _read_array(file, member.file_size, left, f"array {name!r} ")
                    left -= arrays[name].nbytes
    except _DAMAGED as error:
        raise _unreadable(path, error) from None
    return arrays


def _read_array(file: IO[bytes], size: int, most: int, what: str = "the array ") -> NDArray[Any]:
    """One array, after a check that its header claims what the file holds. Raises ValueError where it does not."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"{what}is of .npy version {version}; versions 1.0 and 2.0 are read")
    shape, fortran_order, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError(f"{what}has Python objects, which are not read since that can run code; save numbers or texts")
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError(f"{what}has the impossible shape {shape}")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > most:
        raise ValueError(f"{what}of shape {shape} takes {claimed / GIB:,.1f} GiB; {MOST_BYTES / GIB:g} is the most")
    if claimed != size - file.tell():
        raise ValueError(f"{what}of shape {shape} needs {claimed:,} bytes, and the file has {size - file.tell():,}")
    content = file.read(claimed)
    if len(content) != claimed:
        raise ValueError(f"{what}is cut off after {len(content):,} of {claimed:,} bytes")
    if not claimed:
        return np.empty(shape, dtype)
    return np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if fortran_order else "C")


def _unreadable(path: Path, error: BaseException) -> DataError:
    # numpy's own advice to unpickle is left out.
    why = " ".join((str(error) or type(error).__name__).split())[:300]
    return DataError(f"{path} cannot be read as {path.suffix.lower()}: {why}; save it with numpy.save or numpy.savez")
