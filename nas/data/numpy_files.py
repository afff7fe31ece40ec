"""Arrays of .npy and .npz files, whose headers are checked before memory is taken. Nothing is unpickled."""

from __future__ import annotations

import io
import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..regular_files import GIB, MIB, open_regular

MOST_BYTES: Final = 4 * GIB
"""Maximum size of all arrays of a file in memory."""
MOST_ARRAYS: Final = 1000
MOST_DIRECTORY_BYTES: Final = MIB
"""Maximum size of the list of an archive's arrays."""
MOST_EXPANSION: Final = 200
"""Maximum size of arrays of more than EXPANDED_BYTES in memory by that of the file; data of numbers packs less well."""
EXPANDED_BYTES: Final = 256 * MIB
_UNREADABLE: Final = (OSError, EOFError, ValueError, KeyError, TypeError, NotImplementedError, RuntimeError)
_DAMAGED: Final = (*_UNREADABLE, zipfile.BadZipFile, zlib.error, MemoryError, SyntaxError, OverflowError)


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file.

    Raises:
        DataError: The file is damaged or too large, or has Python objects.
    """
    try:
        with open_regular(path, MOST_BYTES) as file:
            return _read_array(file, os.fstat(file.fileno()).st_size, MOST_BYTES)
    except _DAMAGED as error:
        raise _unreadable(path, error) from None


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file, by name.

    Raises:
        DataError: The file is damaged, an array has Python objects, or they are too many or too large.
    """
    arrays: dict[str, NDArray[Any]] = {}
    left = MOST_BYTES
    try:
        with (
            _ShortDirectory(open_regular(path, MOST_BYTES).detach()) as file,
            zipfile.ZipFile(file) as archive,
        ):
            file.listed = True
            members = archive.infolist()
            if len(members) > MOST_ARRAYS:
                raise ValueError(f"it has {len(members):,} arrays, and {MOST_ARRAYS:,} is the most")
            _check_expansion(os.fstat(file.fileno()).st_size, sum(member.file_size for member in members))
            for member in members:
                with archive.open(member) as content:
                    name = member.filename.removesuffix(".npy")
                    arrays[name] = _read_array(content, member.file_size, left, f"array {name!r} ")
                    left -= arrays[name].nbytes
    except _DAMAGED as error:
        raise _unreadable(path, error) from None
    return arrays


class _ShortDirectory(io.BufferedReader):
    """An archive of whose directory zipfile reads at most MOST_DIRECTORY_BYTES: each entry takes memory at once."""

    listed = False

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.listed and size is not None and size > MOST_DIRECTORY_BYTES:
            raise ValueError(f"it lists more than the {MOST_ARRAYS:,} arrays that are the most")
        return super().read(size)


def _check_expansion(packed: int, claimed: int) -> None:
    if claimed > EXPANDED_BYTES and claimed > MOST_EXPANSION * packed:
        raise ValueError(
            f"its arrays take {claimed / GIB:,.1f} GiB, {claimed // max(1, packed):,} times the size of the file, as "
            "no data of numbers does; if it is right, save it without compression"
        )


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
