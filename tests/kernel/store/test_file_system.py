"""File system of a path, read from the system's table of mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.store import file_system
from nas.store.file_system import FileSystem

MOUNTS = """/dev/a / ext4 rw,relatime 0 0
host:/x /home/far nfs4 rw,vers=4.2 0 0
/dev/b /home/far/near xfs rw 0 0
me@host:/ /home/my\\040disk fuse.sshfs rw,nosuid 0 0
host:/y /home/alone nfs rw,nolock 0 0
"""


@pytest.fixture(autouse=True)
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(file_system, "MOUNTS", tmp_path / "mounts")


@pytest.mark.parametrize(
    ("path", "kind", "network", "shared"),
    [
        ("/home/far/runs/a.sqlite", "nfs4", True, True),
        ("/home/far/near/a.sqlite", "xfs", False, True),
        ("/home/farther/a.sqlite", "ext4", False, True),
        ("/home/my disk/a.sqlite", "fuse.sshfs", True, False),
        ("/home/alone/a.sqlite", "nfs", True, False),
    ],
)
def test_network_file_systems_are_known(path: str, kind: str, network: bool, shared: bool) -> None:
    found = file_system.file_system(Path(path))
    assert (found.kind, found.network, found.shared_locks) == (kind, network, shared)


def test_without_a_table_of_mounts_the_file_system_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_system, "MOUNTS", tmp_path / "none")
    assert file_system.file_system(Path("/home/far/a.sqlite")) == FileSystem("")
    assert not FileSystem("").network
