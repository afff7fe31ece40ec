"""Stores of earlier versions: read as they are, migrated on a backup."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.search import Bits

from nas.errors import StoreError
from nas.space import enumerate_all
from nas.store import Store
from nas.store.overview import overview
from nas.store.rows import digest
from nas.trial import Score

ALL = list(enumerate_all(Bits()))
TRIALS = 4

COLUMNS = "number, architecture, budget, seed, state, score, error, seconds, told_before, told"
VERSION_1 = """CREATE TABLE trials (
    number INTEGER PRIMARY KEY, architecture TEXT NOT NULL, budget INTEGER NOT NULL, seed INTEGER NOT NULL,
    state TEXT NOT NULL, score TEXT, error TEXT, seconds REAL,
    told_before INTEGER NOT NULL, told INTEGER UNIQUE, digest INTEGER NOT NULL
)"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of version 1 with TRIALS trials."""
    path = tmp_path / "trials.sqlite"
    with Store.create(path, {"config": {"a": 1}}) as store:
        for architecture in ALL[:TRIALS]:
            [trial] = store.propose([architecture], 1, 1)
            store.finish(replace(trial, state="done", score=Score(0.5, 0.1, (0.5,), (0.5,), {}, {}), seconds=0.25))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    rows = connection.execute(f"SELECT {COLUMNS} FROM trials ORDER BY number").fetchall()
    connection.execute("DROP TABLE trials")
    connection.execute(VERSION_1)
    for row in rows:
        connection.execute("INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, digest(*row)))
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    return path


def files(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir() if not each.name.endswith(".lock"))


def test_an_earlier_version_is_read_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    with Store.open(path, readonly=True) as store:
        assert len(store.told()) == TRIALS
        assert store.meta == {"config": {"a": 1}}
    assert overview(path, "meta").candidates == TRIALS
    assert path.read_bytes() == before
    assert files(path) == ["trials.sqlite"]


def test_an_earlier_version_is_migrated_on_a_backup_when_it_is_written(path: Path) -> None:
    before = path.read_bytes()
    with Store.open(path, readonly=True) as store:
        trials = store.trials()
    with Store.open(path) as store:
        assert store.trials() == trials
        store.propose([trials[0].architecture], 1, 1)
    backup = path.with_name("trials.sqlite.schema-1")
    assert files(path) == ["trials.sqlite", backup.name]
    with Store.open(path) as store:
        assert store.trials()[:-1] == trials
    with Store.open(backup, readonly=True) as store:
        assert store.trials() == trials
    assert before != path.read_bytes()


def test_a_migration_that_was_killed_is_made_again_on_the_same_backup(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(StoreError, match=r"cannot be copied to trials\.sqlite\.schema-1 before it is migrated"):
            Store.open(path)
    assert files(path) == ["trials.sqlite"]
    path.with_name("trials.sqlite.schema-1").write_bytes(path.read_bytes())
    with Store.open(path) as store:
        assert len(store.told()) == TRIALS


def test_a_damaged_trial_is_not_migrated(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE trials SET seed = seed + 1 WHERE number = 2")
    connection.commit()
    connection.close()
    for readonly in (True, False):
        with pytest.raises(StoreError, match=r"damaged \(trial 2\)"):
            Store.open(path, readonly=readonly)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
