"""Lock of a file with one writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nas.errors import RunError
from nas.store import lock
from nas.store.file_system import FileSystem
from nas.store.lock import Lock, Owner, in_use, lock_path, owner_of

HOLD = "import sys, time; from pathlib import Path; from nas.store.lock import Lock; Lock(Path(sys.argv[1])).take(); "


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.sqlite"


def write_owner(path: Path, owner: Owner) -> None:
    lock_path(path).write_text(json.dumps(asdict(owner)))


def this_process(path: Path) -> Owner:
    taken = Lock(path)
    taken.take()
    owner = owner_of(path)
    taken.release()
    assert owner is not None
    return owner


def test_a_lock_names_its_owner_until_it_is_released(path: Path) -> None:
    taken = Lock(path)
    taken.take()
    owner = owner_of(path)
    assert owner is not None
    assert (owner.pid, owner.here, owner.alive) == (os.getpid(), True, True)
    assert 0 <= time.time() - owner.started < 24 * 3600
    assert in_use(path)
    with pytest.raises(RunError) as refused:
        Lock(path).take()
    assert str(refused.value) == f"{path} is in use by {owner}; wait for it to end, or stop it"
    taken.release()
    taken.release()
    assert owner_of(path) is None
    assert not in_use(path)


def test_the_lock_of_a_killed_process_is_free_and_tells_who_it_was(path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD + "print(1, flush=True); time.sleep(60)", str(path)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(RunError, match=f"in use by process {holder.pid} on "):
        Lock(path).take()
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    owner = owner_of(path)
    assert owner is not None
    assert (owner.pid, owner.alive) == (holder.pid, False)
    assert not in_use(path)
    taken = Lock(path)
    taken.take()
    assert owner_of(path) != owner
    taken.release()


def test_a_later_process_with_the_same_number_is_another_one(path: Path) -> None:
    owner = this_process(path)
    assert owner.alive
    assert not replace(owner, started=owner.started - 100).alive
    assert not replace(owner, host="elsewhere").alive


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"host": 1, "pid": 2, "started": 3}', b"\xff" * 5000])
def test_a_lock_whose_owner_cannot_be_read_is_a_lock_all_the_same(path: Path, content: bytes) -> None:
    lock_path(path).write_bytes(content)
    assert owner_of(path) is None
    taken = Lock(path)
    taken.take()
    lock_path(path).write_bytes(content)
    with pytest.raises(RunError, match="in use by another process"):
        Lock(path).take()
    taken.release()


def test_a_lock_whose_file_was_removed_is_taken_on_the_new_file(path: Path) -> None:
    first, second = Lock(path), Lock(path)
    first.take()
    first.release(remove=True)
    assert not lock_path(path).exists()
    second.take()
    with pytest.raises(RunError, match="in use"):
        first.take()
    second.release()


def test_where_locks_of_other_machines_are_not_seen_the_named_owner_decides(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = this_process(path)
    other = replace(here, host="node7")
    write_owner(path, other)
    assert not in_use(path)  # On an ordinary disk the lock itself tells that it is free.
    monkeypatch.setattr(lock, "file_system", lambda _path: FileSystem("fuse.sshfs"))
    assert in_use(path)
    with pytest.raises(RunError, match=r"opened by process .* on node7.*remove a\.sqlite\.lock"):
        Lock(path).take()
    assert owner_of(path) == other
    write_owner(path, here)
    with pytest.raises(RunError, match="in use by process"):
        Lock(path).take()
    write_owner(path, replace(here, started=here.started - 100))
    assert not in_use(path)
    lock_path(path).unlink()
    taken = Lock(path)
    taken.take()
    taken.release()
