"""Files of a user's data that would fill the memory or never end: refused in words."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nas.data import csv_files
from nas.data.csv_files import read_csv
from nas.data.idx_files import read_idx
from nas.data.image_files import opened
from nas.data.numpy_files import read_npy, read_npz
from nas.data.preprocessing import ImagePreprocessing
from nas.data.tables import read_table
from nas.errors import DataError

READ = """
import resource, sys
from pathlib import Path
from nas.data.csv_files import read_csv
from nas.errors import NasError
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30,) * 2)
try:
    print(len(read_csv(Path(sys.argv[1])).cells[0]))
except NasError as error:
    print(error)
"""


def test_a_file_of_twenty_million_rows_is_refused_within_three_gigabytes(tmp_path):
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"a,.5\n" * 100_000)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert "takes more than 1.5 GiB as texts, from line 8," in ended.stdout
    assert "save it as .npz or Parquet" in ended.stdout


def test_equal_cells_are_held_once_and_count_once(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "MOST_MEMORY", 30_000)
    (tmp_path / "same.csv").write_text("long text,long text\n" * 100)
    cells = read_csv(tmp_path / "same.csv", "no").cells
    assert len({id(cell) for column in cells for cell in column}) == 1
    (tmp_path / "other.csv").write_text("".join(f"x{n},y{n}\n" for n in range(100)))
    with pytest.raises(DataError, match=r"from line 9\d on"):
        read_csv(tmp_path / "other.csv", "no")


@pytest.mark.parametrize("read", [read_csv, read_table, read_npz, read_npy, read_idx, opened])
def test_no_reader_waits_for_a_pipe_or_a_device(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe.csv", tmp_path / "zero.csv"):
        with pytest.raises(DataError, match="no regular file"):
            read(path)


def test_an_image_of_more_bytes_than_the_most_is_refused(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match="is the most that is read"):
        opened(tmp_path / "a.png", ImagePreprocessing(1, 8, 8).width)


def test_letters_that_only_some_programs_take_for_an_end_of_line_stay_in_their_cell(tmp_path):
    (tmp_path / "a.csv").write_text("name,value\na\u2028b,1\nc\x0cd,2\n", "utf-8")
    assert read_csv(tmp_path / "a.csv").cells == (("a\u2028b", "c\x0cd"), ("1", "2"))
