"""Durable trials: one SQLite file holds every proposal, its result, and the controller's place."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..analysis.protocol_check import check_trial
from ..architecture import Architecture
from ..errors import StoreError
from ..protocols import Controller
from ..trial import Score, Trial
from .sqlite_file import DurableFile

SCHEMA = 2
PROMOTED = -1
"""In place of how much the controller had been told, for a trial that it was not asked for."""
TABLES = (
    """CREATE TABLE trials (
        number INTEGER PRIMARY KEY, architecture TEXT NOT NULL, budget INTEGER NOT NULL, seed INTEGER NOT NULL,
        state TEXT NOT NULL, score TEXT, error TEXT, seconds REAL,
        told_before INTEGER NOT NULL, told INTEGER UNIQUE, repeats INTEGER, digest INTEGER NOT NULL
    )""",
    "CREATE TABLE records (key TEXT PRIMARY KEY, value TEXT NOT NULL, digest INTEGER NOT NULL) WITHOUT ROWID",
)


class Store:
    """The trials of one run by number, which is their order of proposal, and the order in which they were told.

    A proposal is stored with how many trials the controller had been told when it was asked: that is the controller's
    place, and enough for `replay` to rebuild it. Promotions are not its doing, and it is not told of them. Every write
    is one transaction, on the disk when the method returns; one that fails leaves nothing behind. Rows carry a
    checksum, so damage is never read as a result.

    Made by `create` or `open`. Any method may raise StoreError.
    """

    def __init__(self, file: DurableFile) -> None:
        self._file = file
        self._first: dict[int, Trial] = {}
        """The first trial with a score of each budget, as far as one was looked for."""

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, Any]) -> Self:
        """A new store without trials. `meta`, any JSON object, is kept as the record 'meta'.

        Raises RunError where the file exists or another process is making it.
        """
        text = _to_json(dict(meta), "meta")

        def fill(connection: sqlite3.Connection) -> None:
            for table in TABLES:
                connection.execute(table)
            _write_record(connection, "meta", text)

        file = DurableFile(path, SCHEMA)
        file.create(fill)
        return cls(file)

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> Self:
        """A store made before, every row of it checked. It may be read while another process writes it.

        Raises RunError where it is missing or another process writes it too, StoreError where it is damaged, of another
        program, or of another schema version.
        """
        file = DurableFile(path, SCHEMA, readonly=readonly)
        file.open()
        store = cls(file)
        try:
            places = sorted(row.told for row in store._rows() if row.told is not None)
            if places != list(range(len(places))) or "meta" not in store.items():
                raise file.damaged("rows are missing")
        except BaseException:
            store.close()
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the use of the file; closing twice does nothing."""
        self._file.close()

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def meta(self) -> dict[str, Any]:
        """What `create` was given."""
        return dict(self.get("meta"))

    def propose(self, architectures: Sequence[Architecture], budget: int, seed: int) -> list[Trial]:
        """Stores pending trials, numbered on from the last, and returns them."""
        with self._file.writing() as connection:
            first = _next(connection, "number")
            told_before = _next(connection, "told")
            trials = [Trial(first + i, architecture, budget, seed) for i, architecture in enumerate(architectures)]
            for trial in trials:
                _write_trial(connection, _Row(trial, told_before, None))
        return trials

    def propose_duplicate(self, architecture: Architecture, first: Trial) -> Trial:
        """Stores a pending trial of an architecture that is the network of the trial `first`, and returns it.

        It was asked for like any other, has the budget and seed of `first`, and waits for the result of that one.
        """
        with self._file.writing() as connection:
            number, told_before = _next(connection, "number"), _next(connection, "told")
            trial = Trial(number, architecture, first.budget, first.seed, duplicate_of=first.number)
            _write_trial(connection, _Row(trial, told_before, None))
        return trial

    def promote(self, trial: Trial, budget: int) -> Trial:
        """Stores a pending trial of a trial's architecture and seed with another budget, and returns it."""
        with self._file.writing() as connection:
            promoted = Trial(_next(connection, "number"), trial.architecture, budget, trial.seed)
            _write_trial(connection, _Row(promoted, PROMOTED, None))
        return promoted

    def finish(self, trial: Trial) -> bool:
        """Stores a pending trial's result ('done' or 'failed'), the next to be told if it was asked for; returns True.

        Where the trial was finished before, the first result stands and False is returned. Raises StoreError for a
        trial that was never proposed, is still pending, or whose score holds NaN or an infinity; ProtocolError for a
        score of another protocol than those of the same budget, which then stays pending.
        """
        if trial.state == "pending":
            raise StoreError(f"trial {trial.number} is pending; only a done or failed trial can be finished")
        query = "SELECT state, told_before FROM trials WHERE number = ?"
        with self._file.writing() as connection:
            stored = connection.execute(query, (trial.number,)).fetchone()
            if stored is None:
                raise StoreError(f"{self.path} has no trial {trial.number}; propose it first")
            state, told_before = stored
            if state == "pending":
                self._check_protocol(connection, trial)
                connection.execute("DELETE FROM trials WHERE number = ?", (trial.number,))
                told = None if told_before == PROMOTED else _next(connection, "told")
                _write_trial(connection, _Row(trial, told_before, told))
        return bool(state == "pending")

    def trials(self) -> list[Trial]:
        """All trials by number."""
        return [row.trial for row in self._rows()]

    def told(self) -> list[Trial]:
        """The finished trials that the controller was told of, in that order."""
        return _in_told_order(self._rows())

    def promoted(self) -> set[int]:
        """The numbers of the trials that are promotions."""
        return {row.trial.number for row in self._rows() if row.told_before == PROMOTED}

    def pending(self) -> list[Trial]:
        """The trials without a result, by number."""
        return [trial for trial in self.trials() if trial.state == "pending"]

    def replay(self, controller: Controller) -> None:
        """Brings a fresh controller to where this run's was: asks and tells it what that one was asked and told.

        Raises StoreError when it asks for anything but the stored architecture.
        """
        rows = self._rows()
        told = _in_told_order(rows)
        sent = 0
        for row in (row for row in rows if row.told_before != PROMOTED):
            if row.told_before > sent:
                controller.tell(told[sent : row.told_before])
                sent = row.told_before
            if controller.ask(1) != [row.trial.architecture]:
                raise StoreError(
                    f"{self.path} cannot be continued: the controller or space changed since trial {row.trial.number} "
                    "was proposed, or goes by luck (another architecture is proposed now); use the options of then, or "
                    "start a new run"
                )
        if told[sent:]:
            controller.tell(told[sent:])

    def put(self, key: str, value: Any) -> None:
        """Stores any JSON value under a key, in place of what was there."""
        text = _to_json(value, f"the value of {key!r}")
        with self._file.writing() as connection:
            _write_record(connection, key, text)

    def get(self, key: str) -> Any:
        """The value stored under a key; None where there is none."""
        return self.items(key).get(key)

    def items(self, prefix: str = "") -> dict[str, Any]:
        """All records whose keys begin with `prefix`, in the order of their keys."""
        query = "SELECT key, value, digest FROM records WHERE substr(key, 1, ?) = ? ORDER BY key"
        with self._file.reading() as connection:
            rows = connection.execute(query, (len(prefix), prefix)).fetchall()
        for key, text, digest in rows:
            if digest != _digest(key, text):
                raise self._file.damaged(f"record {key!r}")
        return {key: json.loads(text) for key, text, _ in rows}

    def _check_protocol(self, connection: sqlite3.Connection, trial: Trial) -> None:
        if trial.score is None:
            return
        if trial.budget not in self._first:
            query = "SELECT * FROM trials WHERE budget = ? AND score IS NOT NULL ORDER BY number LIMIT 1"
            row = connection.execute(query, (trial.budget,)).fetchone()
            if row is None:
                return
            self._first[trial.budget] = _Row.read(row[:-1]).trial
        check_trial(self._first[trial.budget], trial)

    def _rows(self) -> list[_Row]:
        with self._file.reading() as connection:
            rows = connection.execute("SELECT * FROM trials ORDER BY number").fetchall()
        read = []
        for number, (*columns, digest) in enumerate(rows):
            if columns[0] != number or digest != _digest(*columns):
                raise self._file.damaged(f"trial {number}")
            read.append(_Row.read(columns))
        return read


@dataclass(frozen=True)
class _Row:
    """A trial as stored: `told_before` trials had been told when it was asked for, or PROMOTED; `told` is its own place
    among those told."""

    trial: Trial
    told_before: int
    told: int | None

    @staticmethod
    def read(columns: Sequence[Any]) -> _Row:
        number, architecture, budget, seed, state, score, error, seconds, told_before, told, duplicate_of = columns
        trial = Trial(number, Architecture.from_json(json.loads(architecture)), budget, seed, duplicate_of=duplicate_of)
        read = None if score is None else Score.from_json(json.loads(score))
        return _Row(replace(trial, state=state, score=read, error=error, seconds=seconds), told_before, told)

    def columns(self) -> tuple[Any, ...]:
        trial = self.trial
        architecture = _to_json(trial.architecture.to_json(), f"the architecture of trial {trial.number}")
        score = None if trial.score is None else _to_json(trial.score.to_json(), f"the score of trial {trial.number}")
        seconds = None if trial.seconds is None else float(trial.seconds)
        asked = (trial.number, architecture, int(trial.budget), int(trial.seed))
        return (*asked, trial.state, score, trial.error, seconds, self.told_before, self.told, trial.duplicate_of)


def _in_told_order(rows: Sequence[_Row]) -> list[Trial]:
    places = {row.told: row.trial for row in rows if row.told is not None}
    return [places[place] for place in sorted(places)]


def _next(connection: sqlite3.Connection, column: str) -> int:
    return int(connection.execute(f"SELECT coalesce(max({column}) + 1, 0) FROM trials").fetchone()[0])


def _write_trial(connection: sqlite3.Connection, row: _Row) -> None:
    columns = row.columns()
    marks = ", ".join("?" * (len(columns) + 1))
    connection.execute(f"INSERT INTO trials VALUES ({marks})", (*columns, _digest(*columns)))


def _write_record(connection: sqlite3.Connection, key: str, text: str) -> None:
    connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (key, text, _digest(key, text)))


def _to_json(value: Any, what: str) -> str:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{what} cannot be stored: {error}") from error


def _digest(*columns: Any) -> int:
    """A checksum of one row: SQLite checks the structure of its file, not the text and numbers in it."""
    return zlib.crc32(_to_json(columns, "a row").encode())
