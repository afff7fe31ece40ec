"""Files that are opened for reading: regular files of a bounded size."""

from __future__ import annotations

import stat
from pathlib import Path

from ..errors import DataError

GIB = 2**30


def check_regular(path: Path, most_bytes: int) -> None:
    """Checks that a path is a regular file of at most `most_bytes` bytes, before it is opened.

    Raises:
        DataError: It does not exist, is a folder, a pipe or a device, or is too large.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise DataError(f"{path} does not exist" if missing else f"{path} cannot be read: {error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{path} is a folder; give a file")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is no regular file, but a pipe or a device; copy its content into a file")
    if status.st_size > most_bytes:
        raise DataError(
            f"{path} has {status.st_size / GIB:.1f} GiB; {most_bytes / GIB:.3g} GiB is the most that is read: split it"
        )
