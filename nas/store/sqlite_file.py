"""SQLite file with a single writer, durable against kills, full disks and power cuts."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import COPY_RUN, READ_ONLY, RunError, StoreError

APPLICATION = 0x616E6173
"""`PRAGMA application_id` of this program's files."""
NETWORK = frozenset(
    ["9p", "afs", "beegfs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3"]
)
"""Types of network file systems, as /proc/mounts names them."""
LOCK_TRIES = 5
"""Attempts to take the lock: more than one, since `in_use` holds it for a moment to see whether it is free."""


class DurableFile:
    """A SQLite file that is read and written in transactions, by one thread.

    SQLite's errors become StoreErrors that give the remedy. While the file is open for writing, the lock of a file
    beside it is held.

    Args:
        path: The file; `create` or `open` opens it.
        schema: Version of its tables.
        readonly: Whether it is opened for reading only, without the lock.
        check: Whether `open` checks its structure completely.
    """

    def __init__(self, path: Path, schema: int, *, readonly: bool = False, check: bool = True) -> None:
        self.path = path
        self.schema = schema
        self.readonly = readonly
        self.check = check
        self._connection: sqlite3.Connection | None = None
        self._lock: int | None = None

    def create(self, fill: Callable[[sqlite3.Connection], None]) -> None:
        """Makes a new file, filled by `fill`. It appears under its name complete, or not at all.

        Raises:
            RunError: The file exists, or another process has it.
            StoreError: It cannot be made.
        """
        with self._closed_after_error():
            self._take_lock()
            if self.path.exists():
                raise RunError(f"{self.path} exists already; resume that run, or choose another name")
            draft = self.path.with_name(self.path.name + ".new")
            try:
                draft.unlink(missing_ok=True)
                with self._explained():
                    _write_new(draft, self.schema, fill)
                os.replace(draft, self.path)
                _sync_folder(self.path.parent)
            except OSError as error:
                raise StoreError(f"{self.path} cannot be made: {error.strerror}; check the folder") from error
            self._connect()

    def open(self) -> None:
        """Opens an existing file and checks its structure.

        Raises:
            RunError: It is missing, or another process writes it; that does not hinder reading.
            StoreError: It is damaged, of another program or of another version.
        """
        if not self.path.exists():
            raise RunError(f"{self.path} does not exist; give the name of a run that was started")
        with self._closed_after_error():
            if not self.readonly:
                self._take_lock()
            self._connect()

    def close(self) -> None:
        """Closes the file and releases its lock. Closing twice does nothing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        if self._connection is None:
            raise StoreError(f"{self.path} is closed")
        with self._explained():
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on disk at the end, or none of it after an error."""
        if self.readonly:
            raise StoreError(f"{self.path} is open for reading only")
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # After some errors, such as a full disk, SQLite has already rolled back.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def damaged(self, what: str) -> StoreError:
        """The error for a file whose content cannot be trusted."""
        return StoreError(
            f"{self.path} is damaged ({what}) and was not used; put back a copy of it, or rescue what can be read with "
            f"'sqlite3 {self.path.name} .recover' and start a new run"
        )

    def _take_lock(self) -> None:
        """Takes the lock, which the operating system releases however this process ends.

        It is on another file, because closing any second descriptor of a file drops the locks that SQLite has on it.
        """
        try:
            self._lock = os.open(_lock_name(self.path), os.O_RDWR | os.O_CREAT, 0o644)
            for _ in range(LOCK_TRIES):
                with suppress(BlockingIOError):
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                time.sleep(0.01)
        except OSError as error:
            if error.errno in READ_ONLY:
                raise StoreError(
                    f"the folder {self.path.parent} is read-only ({error.strerror}), and a run is continued in its own "
                    f"folder; allow writing to it, or {COPY_RUN}"
                ) from error
            raise StoreError(f"{self.path} cannot be written: {error.strerror}; check the folder") from error
        raise RunError(f"{self.path} is in use by another process; wait for it to end, or stop it")

    def _connect(self) -> None:
        with self._explained():
            self._connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?{self._mode()}", uri=True, timeout=30)
            self._connection.isolation_level = None
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._check(self._connection)
            if not self.readonly:
                _make_durable(self._connection, network=on_network(self.path))

    def _mode(self) -> str:
        """The URI parameters. SQLite adds files beside one that it reads, which a read-only folder does not allow."""
        if not self.readonly:
            return "mode=rw"
        ordinary = Path(f"{self.path}-wal").exists() or os.access(self.path.parent, os.W_OK)
        return "mode=ro" if ordinary else "mode=ro&immutable=1"

    def _check(self, connection: sqlite3.Connection) -> None:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        schema = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION:
            raise StoreError(f"{self.path} is not a store of this program; give the file of a run")
        if schema != self.schema:
            raise StoreError(
                f"{self.path} has schema version {schema}, but this program reads version {self.schema}; "
                "use the version of adaptnas that wrote it"
            )
        if not self.check:
            return
        problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if problem != "ok":
            raise self.damaged(problem)

    @contextmanager
    def _closed_after_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OverflowError, UnicodeEncodeError, sqlite3.ProgrammingError, sqlite3.InterfaceError) as error:
            raise StoreError(f"{self.path} cannot hold that: {error}") from error
        except (sqlite3.Error, UnicodeDecodeError) as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY")):
                raise StoreError(
                    f"{self.path} could not be used: {error}; nothing stored before is lost. Check the disk's free "
                    "space and the folder's permissions, then resume"
                ) from error
            raise self.damaged(str(error)) from error


def in_use(path: Path) -> bool:
    """Whether any process, this one included, has the file open for writing."""
    try:
        descriptor = os.open(_lock_name(path), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def on_network(path: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether a file is on a network file system, where a write-ahead log is not safe; False where unknown."""
    try:
        lines = [line.split() for line in mounts.read_text(errors="replace").splitlines()]
    except OSError:
        return False
    folders = {str(folder) for folder in path.absolute().parents}
    kinds = [(len(place), kind) for _, place, kind, *_ in lines if place in folders]
    return max(kinds, default=(0, ""))[1] in NETWORK


def _lock_name(path: Path) -> str:
    return f"{path}.lock"


def _make_durable(connection: sqlite3.Connection, *, network: bool) -> None:
    """Has every commit on disk when it returns.

    The log is copied into the file after each commit, so that the file alone is at most one commit behind, whatever
    happens to the log. This takes a third of a millisecond; a trial takes seconds.
    """
    if not network and connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 1")
    else:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")


def _write_new(path: Path, schema: int, fill: Callable[[sqlite3.Connection], None]) -> None:
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {schema}")
        fill(connection)
        connection.commit()
    finally:
        connection.close()


def _sync_folder(folder: Path) -> None:
    """Writes a folder's new entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
