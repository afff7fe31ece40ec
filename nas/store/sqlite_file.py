"""SQLite file with a single writer, durable against kills, full disks and power cuts."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import COPY_RUN, OTHER_VERSION, READ_ONLY, RunError, StoreError, WriteError
from ..failures import is_machine_fault
from .file_system import file_system
from .lock import UNSUPPORTED, Lock, lock_path

APPLICATION = 0x616E6173
"""`PRAGMA application_id` of this program's files."""
APPLICATION_BYTES = slice(68, 72)
"""Place of `PRAGMA application_id` in a SQLite file."""
BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite adds to the name of a file for the files beside it."""
MACHINE_FAULTS = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")
"""What the names of SQLite's errors begin with where the disk is full or failing: a log cannot be made there either."""
KILLED_WHILE_WRITING = "the run was killed in the middle of a write; `nas resume` repairs it"
"""What is wrong with a file whose last write must be undone where it can only be read."""


@dataclass(frozen=True)
class Upgrade:
    """How a file of an earlier schema version is read, and how it becomes one of the next version.

    Attributes:
        view: Statement that lets a reader see its tables as the present ones.
        migrate: Changes the tables to those of the next version, within a transaction. Raises ValueError with what is
            damaged, where something is.
    """

    view: str
    migrate: Callable[[sqlite3.Connection], None]


class DurableFile:
    """A SQLite file that is read and written in transactions, by one thread.

    SQLite's errors become StoreErrors that give the remedy. While the file is open for writing, the lock of a file
    beside it is held. A file of an earlier schema version is read as it is; opened for writing it is copied to
    `NAME.schema-N` and migrated.

    Args:
        path: The file; `create` or `open` opens it.
        schema: Version of its tables.
        readonly: Whether it is opened for reading only, without the lock.
        check: Whether `open` checks its structure completely.
        upgrades: By earlier schema version, how a file of it is read and migrated.
    """

    def __init__(
        self,
        path: Path,
        schema: int,
        *,
        readonly: bool = False,
        check: bool = True,
        upgrades: Mapping[int, Upgrade] | None = None,
    ) -> None:
        self.path = path
        self.schema = schema
        self.readonly = readonly
        self.check = check
        self.version = schema
        """Schema version of the open file; an earlier one only where it is read."""
        self._upgrades = upgrades or {}
        self._connection: sqlite3.Connection | None = None
        self._place, self._status = path, os.stat_result([0] * 10)
        """Absolute path of the open file, and what `stat` said of it."""
        self._lock = Lock(path)

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
            try:
                with self._explained():
                    _replace_atomically(self.path, lambda draft: _write_new(draft, self.schema, fill))
            except OSError as error:
                self._lock.release(remove=True)
                kind = WriteError if is_machine_fault(error) else StoreError
                raise kind(f"{self.path} cannot be made: {error.strerror}; check the folder") from error
            except StoreError:
                self._lock.release(remove=True)
                raise
            self._connect()

    def open(self) -> None:
        """Opens an existing file and checks its structure.

        Raises:
            RunError: It is missing, or another process writes it; that does not hinder reading.
            StoreError: It is damaged, of another program or of another version.
        """
        if not self.path.exists():
            raise RunError(f"{self.path} does not exist; give the name of a run that was started")
        self._check_files()
        with self._closed_after_error():
            if not self.readonly:
                self._take_lock()
            self._connect()

    def close(self) -> None:
        """Closes the file and releases its lock. Closing twice does nothing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._lock.release()

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
                self._check_place()
                connection.execute("COMMIT")
            except BaseException:
                # After some errors, such as a full disk, SQLite has already rolled back.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def damaged(self, what: str) -> StoreError:
        """The error for a file whose content cannot be trusted."""
        return StoreError(
            f"{self.path} is damaged ({what}) and was not used; put back a copy of it, or see with `nas doctor` what "
            "is left of it and have a repaired copy written"
        )

    def _check_files(self) -> None:
        """Raises StoreError where the file, or one that SQLite opens beside it, is none: a pipe would be waited for."""
        for path in (self.path, lock_path(self.path), *(Path(f"{self.path}{suffix}") for suffix in BESIDE)):
            try:
                mode = path.stat().st_mode
            except OSError:
                continue
            if not stat.S_ISREG(mode):
                raise StoreError(f"{path} is no regular file, as those of a run are; remove it, or give another run")
        if not self.readonly and self.path.is_symlink():
            raise StoreError(f"{self.path} is a link, and a run that is continued has a file of its own; {COPY_RUN}")

    def _check_place(self) -> None:
        """Raises StoreError where the open file was removed or replaced: what is written into it would be lost."""
        try:
            there = os.path.samestat(self._place.stat(), self._status)
        except OSError:
            there = False
        if not there:
            raise StoreError(
                f"{self.path} was removed, moved or replaced while a command was using it, so that nothing more can be "
                "kept; put its folder back and continue with `nas resume`, or start a new run"
            )

    def _take_lock(self) -> None:
        try:
            self._lock.take()
        except OSError as error:
            folder = self.path.parent
            if error.errno in READ_ONLY:
                raise StoreError(
                    f"the folder {folder} is read-only ({error.strerror}), and a run is continued in its own "
                    f"folder; allow writing to it, or {COPY_RUN}"
                ) from error
            if error.errno in UNSUPPORTED:
                raise StoreError(
                    f"the file system of {folder} has no locks ({error.strerror}), so that two processes could write "
                    "one run; set NAS_RUNS to a folder on a disk of this machine"
                ) from error
            kind = WriteError if is_machine_fault(error) else StoreError
            raise kind(f"{self.path} cannot be written: {error.strerror}; check the folder") from error

    def _connect(self) -> None:
        if self.readonly:
            self._undo_broken_write()
        with self._explained():
            self._place = self.path.absolute()
            self._connection = sqlite3.connect(f"{self._place.as_uri()}?{self._mode()}", uri=True, timeout=30)
            self._connection.isolation_level = None
            self._status = self._place.stat()
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._check(self._connection)
            if not self.readonly:
                _make_durable(self._connection, network=file_system(self.path).network)
            self._upgrade(self._connection)

    def _undo_broken_write(self) -> None:
        """Undoes a write in whose middle the writer was killed, which SQLite does only for one that may write.

        Nothing is done for another program's file, while a process has the file, and where it cannot be written: then
        the error of reading says what to do.
        """
        if not Path(f"{self.path}-journal").exists():
            return
        with suppress(RunError, OSError, sqlite3.Error):
            self._lock.take()
            try:
                if not _is_ours(self.path):
                    return
                with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
                    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            finally:
                self._lock.release()

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
        if schema != self.schema and schema not in self._upgrades:
            raise StoreError(
                f"{self.path} has schema version {schema}, but this program reads version {self.schema}; "
                f"{OTHER_VERSION}"
            )
        self.version = schema
        if not self.check:
            return
        problem = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if problem != "ok":
            raise self.damaged(problem)

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        """Shows the tables of an earlier version as the present ones; or, for writing, migrates them on a backup."""
        if self.version == self.schema:
            return
        if self.readonly:
            connection.execute(self._upgrades[self.version].view)
            return
        backup = self.path.with_name(f"{self.path.name}.schema-{self.version}")
        try:
            if not backup.exists():  # One that is there was made before a migration that was killed.
                _replace_atomically(backup, lambda draft: _copy(connection, draft))
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be copied to {backup.name} before it is migrated: {error.strerror}; "
                "check the folder"
            ) from error
        try:
            with self.writing():
                for version in range(self.version, self.schema):
                    self._upgrades[version].migrate(connection)
                connection.execute(f"PRAGMA user_version = {self.schema}")
        except ValueError as error:
            raise self.damaged(str(error)) from error
        self.version = self.schema

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
            if self.readonly and name.startswith("SQLITE_READONLY"):
                raise StoreError(f"{self.path} cannot be read: {KILLED_WHILE_WRITING}, or {COPY_RUN}") from error
            if name.startswith((*MACHINE_FAULTS, "SQLITE_READONLY", "SQLITE_BUSY")):
                kind = WriteError if name.startswith(MACHINE_FAULTS) and not self.readonly else StoreError
                raise kind(
                    f"{self.path} could not be used: {error}; nothing stored before is lost. Check the disk's free "
                    "space and the folder's permissions, then resume"
                ) from error
            raise self.damaged(str(error)) from error


def _make_durable(connection: sqlite3.Connection, *, network: bool) -> None:
    """Has every commit on disk when it returns.

    The log is copied into the file after each commit, so that the file alone is at most one commit behind, whatever
    happens to the log, whose damage SQLite takes for its end.
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


def _copy(connection: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path)) as copy:
        connection.backup(copy)


def _replace_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Has a file written under another name, and gives it its own once it is on disk."""
    draft = path.with_name(path.name + ".new")
    leftovers = (draft, path.with_name(draft.name + "-journal"))
    for file in leftovers:  # A journal of an earlier draft would be played back into the new one.
        file.unlink(missing_ok=True)
    try:
        write(draft)
        os.replace(draft, path)
    except BaseException:
        for file in leftovers:
            file.unlink(missing_ok=True)
        raise
    folder, *above = path.absolute().parents
    _sync_folder(folder)
    for each in above[:2]:  # The run's folder, and the folder of runs, may be new too.
        with suppress(OSError):
            _sync_folder(each)


def _is_ours(path: Path) -> bool:
    """Whether the file's header says that it is of this program.

    Only for a file that this process does not have open: to close it here drops the locks that SQLite has on it.
    """
    with path.open("rb") as file:
        return file.read(100)[APPLICATION_BYTES] == APPLICATION.to_bytes(4, "big")


def _sync_folder(folder: Path) -> None:
    """Writes a folder's new entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
