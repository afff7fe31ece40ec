"""Tables of a store, and how stores of earlier versions are read and migrated."""

from __future__ import annotations

import sqlite3

from .rows import trial_digest, write_columns
from .sqlite_file import Upgrade

SCHEMA = 2
"""Version of the tables."""
# The column `repeats` holds `Trial.duplicate_of`; stored runs have it under this name.
TRIALS = """CREATE TABLE trials (
        number INTEGER PRIMARY KEY, architecture TEXT NOT NULL, budget INTEGER NOT NULL, seed INTEGER NOT NULL,
        state TEXT NOT NULL, score TEXT, error TEXT, seconds REAL,
        told_before INTEGER NOT NULL, told INTEGER UNIQUE, repeats INTEGER, digest INTEGER NOT NULL
    )"""
RECORDS = "CREATE TABLE records (key TEXT PRIMARY KEY, value TEXT NOT NULL, digest INTEGER NOT NULL) WITHOUT ROWID"
TABLES = (TRIALS, RECORDS)
WITHOUT_REPEATS = """SELECT number, architecture, budget, seed, state, score, error, seconds, told_before, told,
    NULL AS repeats, digest FROM main.trials"""
"""Trials of version 1, which had no duplicates, with the columns of version 2."""


def _add_repeats(connection: sqlite3.Connection) -> None:
    """Makes the tables of version 1 those of version 2. Raises ValueError for a damaged row."""
    rows = connection.execute(f"{WITHOUT_REPEATS} ORDER BY number").fetchall()
    for *columns, stored in rows:
        if stored != trial_digest(columns, 1):
            raise ValueError(f"trial {columns[0]}")
    connection.execute("DROP TABLE trials")
    connection.execute(TRIALS)
    for *columns, _ in rows:
        write_columns(connection, columns)


UPGRADES = {1: Upgrade(f"CREATE TEMP VIEW trials AS {WITHOUT_REPEATS}", _add_repeats)}
"""By earlier schema version, how it is read and migrated."""
