"""Salvage of a damaged store: its readable rows, and a repaired copy of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import StoreError
from .rows import digest, trial_digest, write_columns, write_record
from .schema import SCHEMA, TABLES, UPGRADES
from .sqlite_file import DurableFile

MOST_PROBLEMS = 5
"""Problems of the file's structure that are looked for."""
TOLD = 9
"""Place of `told` among a trial's columns."""
Columns = tuple[Any, ...]
"""A row of a table."""


@dataclass(frozen=True)
class Salvaged:
    """What can be read of a store.

    Attributes:
        trials: The columns, without the checksum, of the trials whose checksum is right, by number.
        lost: Numbers of the trials that are damaged or missing; of those at the end nothing may be known.
        records: The texts of the records whose checksum is right, by key.
        lost_records: Keys of the damaged records.
        problems: What SQLite says of the file's structure.
        readable: Whether the structure is whole; where it is not, more may be lost than is known.
        version: Schema version.
    """

    trials: tuple[Columns, ...]
    lost: tuple[int, ...]
    records: dict[str, str]
    lost_records: tuple[str, ...]
    problems: tuple[str, ...]
    readable: bool = True
    version: int = SCHEMA

    @property
    def complete(self) -> bool:
        """Whether nothing is lost."""
        return self.readable and not self.lost and not self.lost_records

    @property
    def usable(self) -> Salvaged:
        """The trials before the first that is lost, told of in the same order, with all records that are right.

        A controller is rebuilt by replay, so a trial after a lost one could not be continued from.
        """
        first = min(self.lost, default=None)
        kept = [columns for columns in self.trials if first is None or columns[0] < first]
        order = {told: place for place, told in enumerate(sorted(c[TOLD] for c in kept if c[TOLD] is not None))}
        renumbered = ((*c[:TOLD], None if c[TOLD] is None else order[c[TOLD]], *c[TOLD + 1 :]) for c in kept)
        return replace(self, trials=tuple(renumbered), lost=(), lost_records=(), problems=())

    def value(self, key: str) -> Any:
        """The value of a record; None where it is missing or damaged."""
        return json.loads(self.records[key]) if key in self.records else None

    def without(self, keys: Collection[str]) -> Salvaged:
        """The same without some records."""
        return replace(self, records={key: text for key, text in self.records.items() if key not in keys})


def salvage(path: Path) -> Salvaged:
    """Reads whatever can be read of a store. Nothing is written, except that a broken write is undone as by any reader.

    Raises:
        RunError: The file is missing.
        StoreError: It is no store of this program, or of a schema version that is not known, or nothing can be read.
    """
    file = DurableFile(path, SCHEMA, readonly=True, check=False, upgrades=UPGRADES)
    try:
        file.open()
    except StoreError as error:
        if not isinstance(error.__cause__, sqlite3.DatabaseError):
            raise
        raise StoreError(
            f"{path} is damaged from its beginning ({error.__cause__}), and nothing of it can be read; put back a "
            "copy of it, or start a new run"
        ) from error
    try:
        with file.reading() as connection:
            connection.text_factory = lambda text: text.decode(errors="replace")
            problems = _structure(connection)
            rows, read_all = _rows(connection, "trials", "number")
            records, read_records = _rows(connection, "records", "key")
        trials, lost = _checked_trials(rows, file.version)
        sound = {key: text for key, text, stored in records if _is_sound(stored, (key, text))}
        lost_records = tuple(str(key) for key, *_ in records if key not in sound)
        return Salvaged(
            trials, lost, sound, lost_records, problems, read_all and read_records and not problems, file.version
        )
    finally:
        file.close()


def write(salvaged: Salvaged, path: Path) -> None:
    """Makes a new store of the present schema version of what was read.

    Raises:
        RunError: The file exists.
        StoreError: It cannot be made.
    """

    def fill(connection: sqlite3.Connection) -> None:
        for table in TABLES:
            connection.execute(table)
        for columns in salvaged.trials:
            write_columns(connection, columns)
        for key, text in salvaged.records.items():
            write_record(connection, key, text)

    file = DurableFile(path, SCHEMA)
    file.create(fill)
    file.close()


def _structure(connection: sqlite3.Connection) -> tuple[str, ...]:
    try:
        rows = connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})").fetchall()
    except sqlite3.DatabaseError as error:
        return (str(error),)
    return tuple(" ".join(str(text).split()) for (text,) in rows if text != "ok")


def _rows(connection: sqlite3.Connection, table: str, key: str) -> tuple[list[Columns], bool]:
    """The rows of a table in the order of a key, and whether the table could be read to its end.

    Where a page in the middle is damaged, the rows before it are read forwards and those after it backwards.
    """
    rows: dict[Any, Columns] = {}
    for order in ("ASC", "DESC"):
        try:
            for row in connection.execute(f"SELECT * FROM {table} ORDER BY {key} {order}"):
                if row[0] in rows:
                    break
                rows[row[0]] = row
        except sqlite3.DatabaseError:
            continue
        if order == "ASC":
            return list(rows.values()), True
    return sorted(rows.values(), key=lambda row: (str(type(row[0])), row[0])), False


def _checked_trials(rows: Sequence[Columns], version: int) -> tuple[tuple[Columns, ...], tuple[int, ...]]:
    """The trials whose checksum is right, and the numbers of those that are damaged or missing."""
    sound = {columns[0]: tuple(columns) for *columns, stored in rows if _is_sound(stored, columns, version)}
    count = max(sound, default=-1) + 1
    lost = [number for number in range(count) if number not in sound]
    later = sorted(row[0] for row in rows if row[0] not in sound and type(row[0]) is int and row[0] >= count)
    # The number of a damaged row may be damaged too.
    lost += [number for number in later if number < count + len(rows)] or [count] * bool(later)
    told = sorted(columns[TOLD] for columns in sound.values() if columns[TOLD] is not None)
    if not lost and told != list(range(len(told))):
        lost = [count]  # A trial that was told of is missing at the end.
    return tuple(sound[number] for number in sorted(sound)), tuple(lost)


def _is_sound(stored: Any, columns: Sequence[Any], version: int = SCHEMA) -> bool:
    """Whether a row has the checksum of its columns."""
    try:
        found = trial_digest(columns, version) if len(columns) > 2 else digest(*columns)
    except StoreError:  # A damaged column may hold what JSON has not.
        return False
    return bool(found == stored)
