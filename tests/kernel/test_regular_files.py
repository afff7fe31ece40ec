"""Reading of files of unknown origin: pipes, devices, sizes, and what is not UTF-8 or JSON."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nas.errors import DataError
from nas.regular_files import check_regular, open_regular, read_bytes, read_json, read_text

READERS = (check_regular, open_regular, read_bytes, read_text, read_json)


@pytest.mark.parametrize("read", READERS)
def test_only_regular_files_are_opened_and_none_is_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    started = time.monotonic()
    for path, message in (
        (tmp_path / "pipe", "no regular file, but a pipe or a device; copy its content"),
        (tmp_path / "link", "no regular file"),
        (Path("/dev/zero"), "no regular file"),
        (tmp_path, "is a folder; give a file"),
        (tmp_path / "none", "does not exist"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
        (Path("a\0b"), "cannot be read: embedded null byte"),
    ):
        with pytest.raises(DataError, match=message):
            read(path, 1000)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("read", READERS)
def test_a_file_beyond_the_most_is_refused_before_it_is_read(tmp_path, read):
    with (tmp_path / "vast").open("wb") as file:
        file.truncate(2**40)  # without blocks on the disk
    with pytest.raises(DataError, match=r"vast has 1.02e\+03 GiB; 1,000 bytes is the most that is read"):
        read(tmp_path / "vast", 1000)


def test_a_file_that_is_longer_than_it_says_is_read_no_further_than_the_most():
    """Files of the kernel say that they are empty."""
    with pytest.raises(DataError, match="has more than 10 bytes, which is the most"):
        read_bytes(Path("/proc/self/status"), 10)


def test_what_is_read_is_what_is_there(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}')
    assert read_bytes(path, 14) == path.read_bytes()
    assert read_text(path, 100) == '{"a": "é"}'
    assert read_json(path, 100) == {"a": "é"}


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"1" * 5000, b"\xff"])
def test_what_is_no_json_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json( cannot be read: line 1 is not UTF-8| cannot be read as JSON: )"):
        read_json(tmp_path / "a.json", 10**6)


def test_no_descriptor_is_left_open(tmp_path):
    (tmp_path / "a").write_bytes(b"0" * 100)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for path, most in ((tmp_path / "a", 10), (tmp_path, 10), (Path("/dev/zero"), 10)):
            with pytest.raises(DataError):
                open_regular(path, most)
    assert len(os.listdir("/proc/self/fd")) == before
