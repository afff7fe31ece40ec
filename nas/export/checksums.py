"""SHA256SUMS of a folder: written with it, and compared when its files are read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import DataError
from ..regular_files import GIB, open_regular, read_bytes

SUMS: Final = "SHA256SUMS"
MOST_BYTES: Final = 1 << 20
"""Maximum size of a file of sums."""
MOST_FILE_BYTES: Final = 16 * GIB
"""Maximum size of a file that is listed."""


def sums_of(contents: Mapping[str, bytes]) -> bytes:
    """The content of SHA256SUMS for files by name, as `sha256sum -c` reads it."""
    return "".join(f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in sorted(contents)).encode()


def check_sums(folder: Path) -> None:
    """Compares the files of a folder with its SHA256SUMS. A folder without sums, of an earlier version, passes.

    Raises:
        DataError: A file is missing or has changed; the message names it.
    """
    listing = folder / SUMS
    if not listing.exists():
        return
    for name, expected in _listed(listing).items():
        file = folder / name
        if not file.is_file():
            raise DataError(f"{file} is missing, but {SUMS} lists it; export again, or restore the folder from a copy")
        with open_regular(file, MOST_FILE_BYTES) as content:
            actual = hashlib.file_digest(content, "sha256").hexdigest()
        if actual != expected:
            raise DataError(
                f"{file} has changed since it was written (its SHA-256 is not the one in {SUMS}); export again, or "
                f"restore it from a copy; if the change is yours, remove {SUMS}"
            )


def _listed(listing: Path) -> dict[str, str]:
    try:
        text = read_bytes(listing, MOST_BYTES).decode("utf-8", errors="replace")
    except DataError as error:
        raise DataError(f"{error}; export again, or restore it from a copy") from None
    listed = {}
    for number, line in enumerate(text.splitlines(), start=1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or Path(name).name != name:
            raise DataError(f"{listing}:{number} is no checksum of a file beside it; restore it from a copy")
        listed[name] = digest
    return listed
