"""Rows of a store's tables, each with a checksum."""

from __future__ import annotations

import json
import sqlite3
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from ..architecture import Architecture
from ..errors import StoreError
from ..trial import Score, State, Trial
from .sqlite_file import DurableFile

PROMOTED = -1
"""Value of `told_before` for a promotion, which the controller did not propose."""
RETRIED = -2
"""Value of `told_before` for a retry of trial 0; for one of trial n it is lower by n."""
STATES: Mapping[str, State] = {state: state for state in get_args(State)}
ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
DECODER = json.JSONDecoder()
PROTOCOL = ',"protocol":{'
"""Where the part of a score begins that most scores of a run have in common. Metrics stand before it and are numbers;
in a name or text a quotation mark would have a backslash."""
MOST_SHARED = 1000
"""Maximum number of such parts that are kept for the scores to come."""


@dataclass(frozen=True, slots=True)
class Row:
    """A trial as it is stored.

    Attributes:
        trial: The trial.
        told_before: Number of trials that the controller had been told of when it proposed this one; PROMOTED, or
            RETRIED or less, for one that it did not propose.
        told: Place of this one in the order of telling, from 0; None before that, and for promotions and retries.
    """

    trial: Trial
    told_before: int
    told: int | None

    def columns(self) -> tuple[Any, ...]:
        trial = self.trial
        architecture = to_json(trial.architecture.to_json(), f"the architecture of trial {trial.number}")
        score = None if trial.score is None else to_json(trial.score.to_json(), f"the score of trial {trial.number}")
        seconds = None if trial.seconds is None else float(trial.seconds)
        proposal = (trial.number, architecture, int(trial.budget), int(trial.seed))
        return (*proposal, trial.state, score, trial.error, seconds, self.told_before, self.told, trial.duplicate_of)


class RowReader:
    """Reads rows of trials. What most of their scores have in common, such as the protocol, is read once and shared."""

    def __init__(self) -> None:
        self._shared: dict[str, dict[str, Any]] = {}
        """By the text of the end of a score, its values."""

    def read(self, columns: Sequence[Any]) -> Row:
        """The row of a trial's columns, without the checksum."""
        number, architecture, budget, seed, state, score, error, seconds, told_before, told, duplicate_of = columns
        trial = Trial(
            number,
            Architecture.from_json(DECODER.decode(architecture)),
            budget,
            seed,
            STATES[state],
            None if score is None else self.score(score),
            error,
            seconds,
            duplicate_of,
            RETRIED - told_before if told_before <= RETRIED else None,
        )
        return Row(trial, told_before, told)

    def score(self, text: str) -> Score:
        """The score of a text that `to_json` made."""
        place = text.find(PROTOCOL)
        end = text[place:]
        if place < 0 or (end not in self._shared and len(self._shared) >= MOST_SHARED):
            return Score.from_json(DECODER.decode(text))
        if end not in self._shared:
            self._shared[end] = DECODER.decode("{" + end[1:])
        own = DECODER.decode(text[:place] + "}")
        own["metrics"] = {sys.intern(name): value for name, value in own["metrics"].items()}
        return Score.from_json({**own, **self._shared[end]})


def trial_digest(columns: Sequence[Any], version: int) -> int:
    """Checksum of a trial's columns, as a file of a schema version holds it: version 1 had no column `repeats`."""
    return digest(*(columns[:-1] if version == 1 else columns))


def checked_record(file: DurableFile, key: str, text: str, stored: int) -> str:
    """The text of a record. Raises StoreError where it is damaged."""
    if stored != digest(key, text):
        raise file.damaged(f"record {key!r}")
    return text


def write_trial(connection: sqlite3.Connection, row: Row) -> None:
    """Inserts a trial with its checksum."""
    write_columns(connection, row.columns())


def write_columns(connection: sqlite3.Connection, columns: Sequence[Any]) -> None:
    """Inserts the columns of a trial with their checksum."""
    marks = ", ".join("?" * (len(columns) + 1))
    connection.execute(f"INSERT INTO trials VALUES ({marks})", (*columns, digest(*columns)))


def write_record(connection: sqlite3.Connection, key: str, text: str) -> None:
    """Inserts a record with its checksum, in place of an earlier one of its key."""
    connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (key, text, digest(key, text)))


def to_json(value: Any, what: str) -> str:
    """A value as JSON. Raises StoreError, which names it as `what`, where JSON has no such value."""
    try:
        return ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{what} cannot be stored: {error}") from error


def digest(*columns: Any) -> int:
    """A checksum of one row, since SQLite checks the structure of its file but not the values in it."""
    return zlib.crc32(to_json(columns, "a row").encode())
