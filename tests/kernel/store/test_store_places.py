"""Places of a store: what is no regular file is refused at once, and a store that is removed in use is missed."""

from __future__ import annotations

import os
import shutil

import pytest

from nas.architecture import Architecture
from nas.errors import StoreError
from nas.store import Store
from nas.store.lock import in_use, owner_of


@pytest.fixture(name="path")
def a_store(tmp_path):
    (tmp_path / "run").mkdir()
    Store.create(tmp_path / "run" / "trials.sqlite", {}).close()
    return tmp_path / "run" / "trials.sqlite"


@pytest.mark.parametrize("suffix", ["", ".lock", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
@pytest.mark.parametrize("readonly", [True, False])
def test_a_pipe_a_folder_or_a_device_is_refused_and_not_waited_for(path, suffix, make, readonly):
    place = path.with_name(f"{path.name}{suffix}")
    place.unlink(missing_ok=True)
    make(place)
    with pytest.raises(StoreError, match=f"{place.name} is no regular file"):
        Store.open(path, readonly=readonly)


def test_a_lock_that_is_a_pipe_is_nobodys(path):
    lock = path.with_name(f"{path.name}.lock")
    lock.unlink(missing_ok=True)
    os.mkfifo(lock)
    assert owner_of(path) is None
    assert not in_use(path)


def test_a_link_to_a_store_is_read_and_not_written(path, tmp_path):
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / "trials.sqlite"
    link.symlink_to(path)
    with Store.open(link, readonly=True) as store:
        assert store.trials() == []
    with pytest.raises(StoreError, match="is a link"):
        Store.open(link)


@pytest.mark.parametrize("away", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved"))])
def test_a_store_that_is_removed_or_moved_is_missed_at_the_next_write(path, away):
    with Store.open(path) as store:
        store.propose([Architecture("s", {"a": 0})], 1, 0)
        away(path.parent)
        with pytest.raises(StoreError, match="was removed, moved or replaced"):
            store.put("state", {"state": "running"})
        path.parent.mkdir()
        path.write_bytes(b"another")
        with pytest.raises(StoreError, match="was removed, moved or replaced"):
            store.put("state", {"state": "running"})
