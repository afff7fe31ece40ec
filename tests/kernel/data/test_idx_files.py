"""IDX files: arrays come back as written, and damaged files are errors for people."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.data import idx_files
from nas.data.idx_files import read_idx
from nas.errors import DataError

CODES = {"uint8": 8, "int8": 9, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx_bytes(array: NDArray[Any]) -> bytes:
    header = bytes([0, 0, CODES[array.dtype.name], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("compressed", [False, True])
def test_array_comes_back(tmp_path: Path, dtype: str, compressed: bool) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "file.idx"
    path.write_bytes(gzip.compress(idx_bytes(array)) if compressed else idx_bytes(array))
    read = read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


IMAGES = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
CASES = {
    "empty": (b"", "empty file"),
    "text": (b"not an IDX file", "begins with the bytes 6e 6f 74 20"),
    "code": (b"\0\0\x0a\x01" + bytes(8), "begins with the bytes"),
    "axes": (b"\0\0\x08\x00" + bytes(8), "0 axes; 1 to 8"),
    "lengths": (IMAGES[:10], "within the lengths of its 3 axes"),
    "short": (IMAGES[:-1], "cut off after 23 of 24 bytes"),
    "long": (IMAGES + b"\0", "more than the 24 bytes"),
    "large": (b"\0\0\x08\x02" + b"\xff" * 8, "GiB"),
    "gzip": (gzip.compress(IMAGES)[:-9], "cannot be read as an IDX file"),
    "checksum": (gzip.compress(IMAGES)[:-8] + bytes(8), "cannot be read as an IDX file"),
}


@pytest.mark.parametrize("case", CASES)
def test_damaged_file_is_named(tmp_path: Path, case: str) -> None:
    content, message = CASES[case]
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_idx(tmp_path / "absent.gz")
    with pytest.raises(DataError, match="is a folder"):
        read_idx(tmp_path)


def test_no_more_is_decompressed_than_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(IMAGES + bytes(10_000_000)))
    with pytest.raises(DataError, match="more than the 24 bytes"):
        read_idx(path)
    monkeypatch.setattr(idx_files, "MOST_BYTES", 23 * 1000)
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((1000, 24), np.uint8))))
    with pytest.raises(DataError, match="is the most"):
        read_idx(path)
