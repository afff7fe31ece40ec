"""Lock of a file with one writer. Its owner is named in the lock's own file."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from .. import regular_files
from ..errors import DataError, RunError
from .file_system import file_system

TRIES = 5
"""Attempts to take a lock: more than one, since `in_use` holds it for a moment to see whether it is free."""
TOLERANCE_S = 2.0
"""Difference of two start times up to which they are of the same process; the system's clock may be adjusted."""
MAX_BYTES = 1000
"""Bytes of a lock's file that are read at most."""
UNSUPPORTED = frozenset([errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
"""Numbers of the system's errors where a file system has no locks."""


@dataclass(frozen=True)
class Owner:
    """A process that takes a lock.

    Attributes:
        host: Name of its machine.
        pid: Its number.
        started: When it was started, in seconds since the epoch.
    """

    host: str
    pid: int
    started: float

    def __str__(self) -> str:
        with suppress(ValueError, OverflowError, OSError):
            started = datetime.fromtimestamp(self.started)
            return f"process {self.pid} on {self.host}, started {started:%Y-%m-%d %H:%M:%S}"
        return f"process {self.pid} on {self.host}"

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether it is a running process of this machine. A later process with the same number is another one."""
        started = _started(self.pid) if self.here else None
        return started is not None and abs(started - self.started) <= TOLERANCE_S


def lock_path(path: Path) -> Path:
    """The file that carries the lock of a file.

    It is a file of its own, because closing a second descriptor of a SQLite file drops the locks that SQLite has on it.
    """
    return path.with_name(f"{path.name}.lock")


class Lock:
    """The lock of a file for writing, which the operating system releases however this process ends.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Takes the lock and names this process in it.

        Raises:
            RunError: Another process has it.
            OSError: The lock's file cannot be written.
        """
        for _ in range(TRIES):
            descriptor = os.open(lock_path(self.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if _locked(descriptor, self.path):
                    self._refuse_other_machine()
                    self._descriptor = descriptor
                    _write(descriptor, json.dumps(asdict(_this_process())).encode())
                    return
            finally:
                if self._descriptor is None:
                    os.close(descriptor)
            time.sleep(0.01)
        owner = owner_of(self.path)
        raise RunError(f"{self.path} is in use by {owner or 'another process'}; wait for it to end, or stop it")

    def release(self, *, remove: bool = False) -> None:
        """Releases the lock. Releasing it twice does nothing.

        Args:
            remove: Whether its file is removed too.
        """
        if self._descriptor is None:
            return
        _write(self._descriptor, b"")
        if remove:
            with suppress(OSError):
                lock_path(self.path).unlink()
        os.close(self._descriptor)
        self._descriptor = None

    def _refuse_other_machine(self) -> None:
        """Refuses a file that another machine may be writing, where its lock would not be seen here."""
        owner = _hidden_owner(self.path)
        if owner is None:
            return
        if owner.here:
            raise RunError(f"{self.path} is in use by {owner}; wait for it to end, or stop it")
        raise RunError(
            f"{self.path} was opened by {owner}, and locks of other machines are not seen on this file system; "
            f"if that process has ended, remove {lock_path(self.path).name} beside the file and repeat the command"
        )


def owner_of(path: Path) -> Owner | None:
    """The process that took a file's lock last and has not released it, running or not; None where none is named."""
    try:
        with regular_files.open_regular(lock_path(path), MAX_BYTES) as file:
            data = json.loads(file.read(MAX_BYTES))
        host, pid, started = data["host"], data["pid"], data["started"]
    except (DataError, OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    right = isinstance(host, str) and type(pid) is int and type(started) in (int, float)
    return Owner("".join(c if c.isprintable() else "?" for c in host[:100]), pid, started) if right else None


def in_use(path: Path) -> bool:
    """Whether any process, this one included, has the file open for writing."""
    try:
        descriptor = os.open(lock_path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return _hidden_owner(path) is not None
    finally:
        os.close(descriptor)
    return _hidden_owner(path) is not None


def _hidden_owner(path: Path) -> Owner | None:
    """The owner of a lock that may be in force although it looks free, as on some network file systems; else None."""
    owner = owner_of(path)
    if owner is None or file_system(path).shared_locks or (owner.here and not owner.alive):
        return None
    return owner


def _locked(descriptor: int, path: Path) -> bool:
    """Locks an open file. False where another process has it, or has removed the file meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), lock_path(path).stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _write(descriptor: int, data: bytes) -> None:
    """Writes the content of a lock's file. On a full disk it stays empty, and the lock holds all the same."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, data, 0)


def _this_process() -> Owner:
    started = _started(os.getpid())
    return Owner(socket.gethostname(), os.getpid(), round(time.time() if started is None else started, 2))


def _started(pid: int) -> float | None:
    """When a process of this machine was started, in seconds since the epoch; None where there is none, or no /proc."""
    try:
        # The second field is the program's name in brackets, which may hold spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        lines = Path("/proc/stat").read_text(errors="replace").splitlines()
        boot = next(float(line.split()[1]) for line in lines if line.startswith("btime "))
        return boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None
