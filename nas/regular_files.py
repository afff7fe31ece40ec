"""Reading of files that others may have written: regular files of a bounded size only, never a pipe or a device."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from .errors import DataError

GIB: Final = 2**30
MIB: Final = 2**20
LONGEST: Final = 100
"""Characters of a path that is too long for the file system."""


def check_regular(path: Path, most_bytes: int) -> None:
    """Checks that a path is a regular file of at most `most_bytes` bytes, before it is opened.

    Raises:
        DataError: It does not exist, is a folder, a pipe or a device, or is too large.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    _check(path, status, most_bytes)


def open_regular(path: Path, most_bytes: int) -> io.BufferedReader:
    """A regular file, open for reading. What is opened is what was checked, also where the file is being replaced.

    Raises:
        DataError: As `check_regular`, or the file may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would be waited for
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    try:
        _check(path, os.fstat(descriptor), most_bytes)
        return io.BufferedReader(io.FileIO(descriptor))
    except DataError:
        os.close(descriptor)
        raise


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file. Raises DataError as `open_regular`, and where the file is longer than it says."""
    with open_regular(path, most_bytes) as file:
        try:
            content = file.read(most_bytes + 1)
        except OSError as error:
            raise _unreadable(path, error) from None
    if len(content) > most_bytes:
        raise DataError(f"{path} has more than {_size(most_bytes)}, which is the most that is read")
    return content


def read_text(path: Path, most_bytes: int) -> str:
    """The text of a regular file in UTF-8, without a byte order mark. Raises DataError as `read_bytes`."""
    content = read_bytes(path, most_bytes)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} cannot be read: line {line} is not UTF-8 ({error.reason}); save it as UTF-8") from None


def read_json(path: Path, most_bytes: int) -> Any:
    """The JSON value in a regular file. Raises DataError as `read_text`, and where it is no JSON."""
    try:
        return json.loads(read_text(path, most_bytes))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from None


def _check(path: Path, status: os.stat_result, most_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{path} is a folder; give a file")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is no regular file, but a pipe or a device; copy its content into a file")
    if status.st_size > most_bytes:
        raise DataError(f"{path} has {_size(status.st_size)}; {_size(most_bytes)} is the most that is read")


def _unreadable(path: Path, error: OSError | ValueError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path} does not exist")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return DataError(f"{str(path)[:LONGEST]}… cannot be read: {error.strerror}")
    return DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")


def _size(count: int) -> str:
    if count >= GIB:
        return f"{count / GIB:.3g} GiB"
    return f"{count / MIB:.3g} MiB" if count >= MIB else f"{count:,} bytes"
