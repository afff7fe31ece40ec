"""Durable store of a run's trials and records in one SQLite file."""

from __future__ import annotations

import gc
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..analysis.protocol_check import check_trial
from ..architecture import Architecture
from ..errors import OTHER_VERSION, StoreError
from ..failures import attempt, reason
from ..protocols.controllers import Controller
from ..trial import Trial
from .retries import NO_RETRIES, retried
from .rows import PROMOTED, RETRIED, Row, RowReader, checked_record, to_json, trial_digest, write_record, write_trial
from .schema import SCHEMA, TABLES, UPGRADES
from .sqlite_file import DurableFile


class Store:
    """The trials of one run in order of proposal, with the order in which the controller was told of their results.

    A proposal is stored with the number of trials that the controller had been told of when it was asked. That is
    enough for `replay` to rebuild the controller. Promotions and retries are not its proposals, and it is not told of
    them. Every write is one transaction, on disk when the method returns; one that fails changes nothing. Only
    proposals can be left to the next result's transaction. Rows carry a checksum, so that damage is never read as a
    result.

    A store is made by `create` or `open`. Any method may raise StoreError.
    """

    def __init__(self, file: DurableFile) -> None:
        self._file = file
        self.retries = NO_RETRIES
        """How long a use of the file is repeated while the disk is full; to read a log takes room for its index too."""
        self._first_of_budget: dict[int, Trial] = {}
        """By budget, its first trial with a score, once it was looked up."""
        self._unwritten: list[Row] = []
        """Proposals that are written with the next result."""
        self._read: tuple[int, list[Row]] | None = None
        """The rows as they were read last, with the version of the file then; None after a change of them."""

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, Any]) -> Self:
        """Makes a store without trials.

        Args:
            path: The new file.
            meta: Any JSON object, kept as the record 'meta'.

        Raises:
            RunError: The file exists, or another process is making it.
        """
        text = to_json(dict(meta), "meta")

        def fill(connection: sqlite3.Connection) -> None:
            for table in TABLES:
                connection.execute(table)
            write_record(connection, "meta", text)

        file = DurableFile(path, SCHEMA, upgrades=UPGRADES)
        file.create(fill)
        return cls(file)

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False) -> Self:
        """Opens a store and checks every row. With `readonly` another process may be writing it.

        Raises:
            RunError: The file is missing, or another process is writing it too.
            StoreError: It is damaged, of another program, or of another schema version.
        """
        file = DurableFile(path, SCHEMA, readonly=readonly, upgrades=UPGRADES)
        file.open()
        store = cls(file)
        try:
            told = sorted(row.told for row in store._rows() if row.told is not None)
            if told != list(range(len(told))) or "meta" not in store.items():
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
        """Closes the file. Closing twice does nothing."""
        self._file.close()

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def meta(self) -> dict[str, Any]:
        """The JSON object that `create` was given."""
        return dict(self.get("meta"))

    @retried
    def propose(
        self, architectures: Sequence[Architecture], budget: int, seed: int, *, later: bool = False
    ) -> list[Trial]:
        """Stores a pending trial for each architecture and returns them, numbered from the next number on.

        Args:
            architectures: The proposed architectures.
            budget: Budget of their evaluation.
            seed: Seed of their evaluation.
            later: Whether they may be written with the next result, in one transaction. A run that is killed before
                that has its controller propose them again, so this is for evaluations that take less than a write.
        """
        with self._file.reading() as connection:
            first, told_before = self._next_number(connection), _next(connection, "told")
        trials = [Trial(first + i, architecture, budget, seed) for i, architecture in enumerate(architectures)]
        self._add([Row(trial, told_before, None) for trial in trials], later=later)
        return trials

    @retried
    def propose_duplicate(self, architecture: Architecture, first: Trial, *, later: bool = False) -> Trial:
        """Stores a pending duplicate of the trial `first`, whose network the architecture is, and returns it.

        The controller proposed it as any other. It has the budget and seed of `first`, and will get its result.
        `later` is as for `propose`.
        """
        with self._file.reading() as connection:
            number, told_before = self._next_number(connection), _next(connection, "told")
        trial = Trial(number, architecture, first.budget, first.seed, duplicate_of=first.number)
        self._add([Row(trial, told_before, None)], later=later)
        return trial

    @retried
    def promote(self, trial: Trial, budget: int) -> Trial:
        """Stores a pending trial of a trial's architecture and seed with another budget, and returns it."""
        with self._changing_trials() as connection:
            promoted = Trial(_next(connection, "number"), trial.architecture, budget, trial.seed)
            write_trial(connection, Row(promoted, PROMOTED, None))
        return promoted

    @retried
    def retry(self, trial: Trial) -> Trial:
        """Stores a pending trial that evaluates a failed one again, and returns it; the failed one stays as it is."""
        first = trial.number if trial.retry_of is None else trial.retry_of
        with self._changing_trials() as connection:
            retried = Trial(_next(connection, "number"), trial.architecture, trial.budget, trial.seed, retry_of=first)
            write_trial(connection, Row(retried, RETRIED - first, None))
        return retried

    @retried
    def finish(self, trial: Trial) -> bool:
        """Stores the result ('done' or 'failed') of a pending trial: the next to tell the controller if it proposed it.

        Returns:
            False where the trial was finished before; its first result stands.

        Raises:
            StoreError: The trial was never proposed, is still pending, or its score holds NaN or an infinity.
            ProtocolError: The score's protocol is not that of the other scores of the same budget; the trial stays
                pending.
        """
        if trial.state == "pending":
            raise StoreError(f"trial {trial.number} is pending; only a done or failed trial can be finished")
        query = "SELECT state, told_before FROM trials WHERE number = ?"
        with self._changing_trials() as connection:
            stored = connection.execute(query, (trial.number,)).fetchone()
            if stored is None:
                raise StoreError(f"{self.path} has no trial {trial.number}; propose it first")
            state, told_before = stored
            if state == "pending":
                self._check_protocol(connection, trial)
                connection.execute("DELETE FROM trials WHERE number = ?", (trial.number,))
                told = None if told_before < 0 else _next(connection, "told")
                write_trial(connection, Row(trial, told_before, told))
        return bool(state == "pending")

    def trials(self) -> list[Trial]:
        """All trials by number."""
        return [row.trial for row in self._rows()]

    def told(self) -> list[Trial]:
        """The finished trials that the controller proposed, in the order in which it was told of them."""
        return _in_told_order(self._rows())

    def promoted(self) -> set[int]:
        """The numbers of the promotions and retries, which the controller did not propose."""
        return {row.trial.number for row in self._rows() if row.told_before < 0}

    def pending(self) -> list[Trial]:
        """All pending trials by number."""
        return [trial for trial in self.trials() if trial.state == "pending"]

    def replay(self, controller: Controller) -> None:
        """Asks and tells a fresh controller all that this run's controller was asked and told, in the same order.

        Raises:
            StoreError: The controller proposes something else than what is stored.
        """
        rows = self._rows()
        told = _in_told_order(rows)
        sent = 0
        for row in (row for row in rows if row.told_before >= 0):
            if row.told_before > sent:
                controller.tell(told[sent : row.told_before])
                sent = row.told_before
            if controller.ask(1) != [row.trial.architecture]:
                raise StoreError(
                    f"{self.path} cannot be continued: the controller or space changed since trial {row.trial.number} "
                    "was proposed, or is not deterministic (another architecture is proposed now); use the options of "
                    "then, or start a new run"
                )
        if told[sent:]:
            controller.tell(told[sent:])

    def put(self, key: str, value: Any) -> None:
        """Stores a JSON value under a key, replacing an earlier one."""
        self.put_all({key: value})

    @retried
    def put_all(self, records: Mapping[str, Any]) -> None:
        """Stores several JSON values under their keys in one transaction."""
        texts = {key: to_json(value, f"the value of {key!r}") for key, value in records.items()}
        with self._file.writing() as connection:
            for key, text in texts.items():
                write_record(connection, key, text)

    def get(self, key: str) -> Any:
        """The value stored under a key, or None."""
        return self.items(key).get(key)

    @retried
    def items(self, prefix: str = "") -> dict[str, Any]:
        """All records whose keys begin with `prefix`, sorted by key."""
        query = "SELECT key, value, digest FROM records WHERE substr(key, 1, ?) = ? ORDER BY key"
        with self._file.reading() as connection:
            rows = connection.execute(query, (len(prefix), prefix)).fetchall()
        return {key: json.loads(checked_record(self._file, key, text, digest)) for key, text, digest in rows}

    def _check_protocol(self, connection: sqlite3.Connection, trial: Trial) -> None:
        if trial.score is None:
            return
        if trial.budget not in self._first_of_budget:
            query = "SELECT * FROM trials WHERE budget = ? AND score IS NOT NULL ORDER BY number LIMIT 1"
            row = connection.execute(query, (trial.budget,)).fetchone()
            if row is None:
                return
            self._first_of_budget[trial.budget] = RowReader().read(row[:-1]).trial
        check_trial(self._first_of_budget[trial.budget], trial)

    def _next_number(self, connection: sqlite3.Connection) -> int:
        return self._unwritten[-1].trial.number + 1 if self._unwritten else _next(connection, "number")

    def _add(self, rows: Sequence[Row], *, later: bool) -> None:
        """Adds proposals, which are numbered from the next number on."""
        self._read = None
        unwritten = self._unwritten
        self._unwritten = [*unwritten, *rows]
        if not later:
            try:
                with self._changing_trials():
                    pass
            except BaseException:
                self._unwritten = unwritten
                raise

    @contextmanager
    def _changing_trials(self) -> Iterator[sqlite3.Connection]:
        """A transaction that changes rows of trials. It first writes the proposals that were left to it."""
        self._read = None
        with self._file.writing() as connection:
            for row in self._unwritten:
                write_trial(connection, row)
            yield connection
        self._unwritten = []

    @retried
    def _rows(self) -> list[Row]:
        """All rows by number. They are kept until one changes, since a search that is resumed needs them often."""
        with self._file.reading() as connection:
            version = int(connection.execute("PRAGMA data_version").fetchone()[0])
            if self._read is None or self._read[0] != version:
                self._read = None
                with collection_paused():
                    self._read = version, [*self._checked_rows(connection), *self._unwritten]
        return self._read[1]

    def _checked_rows(self, connection: sqlite3.Connection) -> Iterator[Row]:
        reader = RowReader()
        for number, columns in enumerate(connection.execute("SELECT * FROM trials ORDER BY number")):
            if columns[0] != number or columns[-1] != trial_digest(columns[:-1], self._file.version):
                raise self._file.damaged(f"trial {number}")
            row = attempt(reader.read, columns[:-1])  # A record of another version may have any shape.
            if row.error is not None:
                raise StoreError(
                    f"{self.path} holds a trial, number {number}, that this version of adaptnas cannot read "
                    f"({reason(row.error)}); {OTHER_VERSION}"
                )
            yield row.value


def _in_told_order(rows: Sequence[Row]) -> list[Trial]:
    by_place = {row.told: row.trial for row in rows if row.told is not None}
    return [by_place[place] for place in sorted(by_place)]


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pauses the search for reference cycles, which takes most of the time in which a million values are made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _next(connection: sqlite3.Connection, column: str) -> int:
    return int(connection.execute(f"SELECT coalesce(max({column}) + 1, 0) FROM trials").fetchone()[0])
