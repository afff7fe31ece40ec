"""File system of a path: whether it is a network file system, and whether locks on it hold for all machines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/mounts")
"""The system's table of mounted file systems."""
NETWORK = frozenset(
    ["9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs", "lustre"]
) | frozenset(["nfs", "nfs4", "smb3", "smbfs", "virtiofs"])
"""Types of network file systems, as /proc/mounts names them."""
SHARED_LOCKS = frozenset(["ceph", "gpfs", "nfs", "nfs4"])
"""Types of network file systems whose locks hold for all machines, unless an option says otherwise."""
LOCAL_LOCKS = frozenset(["nolock", "local_lock=all", "local_lock=flock"])
"""Mount options by which locks hold for one machine only."""


@dataclass(frozen=True)
class FileSystem:
    """A mounted file system.

    Attributes:
        kind: Its type, such as 'ext4'; empty where it is unknown.
        options: Its mount options.
    """

    kind: str
    options: frozenset[str] = frozenset()

    @property
    def network(self) -> bool:
        """Whether it is a network file system, where a write-ahead log is not safe."""
        return self.kind in NETWORK

    @property
    def shared_locks(self) -> bool:
        """Whether a lock holds for every process that can reach the file."""
        return not self.network or (self.kind in SHARED_LOCKS and not self.options & LOCAL_LOCKS)


def network_note(path: Path) -> str | None:
    """What a person should know of a run that is kept on a network file system, and do; None for a run that is not."""
    found = file_system(path)
    if not found.network:
        return None
    shared = "" if found.shared_locks else ", whose locks other machines do not see: use it from one machine only"
    return (
        f"the run is on a network file system ({found.kind}){shared}; it is written without a write-ahead log, which "
        "is slower. Set NAS_RUNS to a folder on a disk of this machine for the next run"
    )


def file_system(path: Path) -> FileSystem:
    """The file system that a path is on, as /proc/mounts tells it."""
    try:
        lines = [line.split() for line in MOUNTS.read_text(errors="replace").splitlines()]
        folders = {str(folder) for folder in (path.resolve(), *path.resolve().parents)}
    except (OSError, RuntimeError):
        return FileSystem("")
    # /proc/mounts writes a space as \040; of several entries at one place the last is in effect.
    mounts = [(place.replace("\\040", " "), kind, options) for _, place, kind, options, *_ in lines]
    found, longest = FileSystem(""), 0
    for place, kind, options in mounts:
        if place in folders and len(place) >= longest:
            longest, found = len(place), FileSystem(kind, frozenset(options.split(",")))
    return found
