"""Tables of architectures that claim more than they hold, or that are no files: refused, soon and in little memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nas.data import numpy_files
from nas.errors import DataError
from nas.space import tables

MEMORY = 2 * 2**30
"""Address space in which a file of gigabytes must be refused; torch is not imported there."""


def header(shape: object, dtype: str = "<f8") -> bytes:
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text + b"\n"


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def read(path: Path) -> tables.Table:
    return tables.read_table(path, tables.stamp(path))


@pytest.mark.parametrize("rows", [10**12, 10**30, -1, 2.5, "1"])
def test_a_header_that_claims_other_rows_than_there_are_is_refused(tmp_path, rows):
    path = archive(tmp_path / "a.npz", {"arch": header((rows,)) + bytes(80), "val": header((10,)) + bytes(80)})
    started = time.monotonic()
    with pytest.raises(DataError, match=r"a\.npz cannot be read as .*(of shape|impossible shape|shape is not valid)"):
        read(path)
    assert time.monotonic() - started < 2


def bomb(path: Path) -> Path:
    """An archive of 3 MB that holds 3 GB of zeros."""
    count = 3 * 10**9 // 8
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("val.npy", "w", force_zip64=True) as member,
    ):
        member.write(header((count,)))
        zeros = bytes(10**7)
        for _ in range(300):
            member.write(zeros)
    return path


def many(path: Path) -> Path:
    one = header((1,)) + bytes(8)
    return archive(path, {f"x{number}": one for number in range(50_000)}, zipfile.ZIP_STORED)


def vast_csv(path: Path) -> Path:
    """A file of 2 × 10⁷ rows."""
    with path.open("wb") as file:
        file.write(b"arch,val\n")
        for _ in range(200):
            file.write(b"a,.5\n" * 100_000)
    return path


def sparse_csv(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(2**40)
    return path


def wide_cell(path: Path) -> Path:
    path.write_text("arch,val\n" + "x" * 100_000 + ",1\n" + "a,1\n" * 100_000)
    return path


REFUSED = """
import resource, sys
from pathlib import Path
from nas.errors import NasError
from nas.space import tables
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
path = Path(sys.argv[1])
try:
    tables.read_table(path, tables.stamp(path))
except NasError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("make", "suffix", "message"),
    [
        (bomb, ".npz", "times the size of the file"),
        (many, ".npz", "lists more than the 1,000 arrays"),
        (vast_csv, ".csv", "more than 20,000,000 cells"),
        (sparse_csv, ".csv", "is the most that is read"),
        (wide_cell, ".csv", "a cell of 100,000 letters, too long beside"),
    ],
)
def test_a_file_that_would_fill_the_memory_is_refused_in_little(tmp_path, make, suffix, message):
    path = make(tmp_path / f"a{suffix}")
    ended = subprocess.run(
        [sys.executable, "-c", REFUSED, str(path), str(MEMORY)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    assert message in ended.stdout


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_pipes_and_devices_are_not_opened(tmp_path, suffix):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(DataError, match="no regular file, but a pipe or a device"):
            read(tmp_path / f"{name}{suffix}")


def test_arrays_that_compress_well_are_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", val=np.zeros(1_000_000))
    assert len(read(tmp_path / "a.npz").columns["val"]) == 1_000_000


def test_an_archive_of_members_larger_than_a_directory_may_be_is_read(tmp_path):
    content = io.BytesIO()
    np.save(content, np.arange(numpy_files.MOST_DIRECTORY_BYTES // 4))
    archive(tmp_path / "a.npz", {"val": content.getvalue()}, zipfile.ZIP_STORED)
    assert len(read(tmp_path / "a.npz").columns["val"]) == numpy_files.MOST_DIRECTORY_BYTES // 4
