"""Stores after crashes of the machine, and that the experiment finds writes that are not synchronised."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from nas.experiments.chaos import crash_clones
from nas.experiments.chaos.crashed_disk import Disk, Operation
from nas.experiments.chaos.figures import Settings
from nas.experiments.chaos.tracing import why_not
from nas.store import sqlite_file

traced = pytest.mark.skipif(bool(why_not()), reason=why_not())


@traced
@pytest.mark.parametrize("mode", [crash_clones.LOG, crash_clones.JOURNAL])
def test_crashes_lose_no_acknowledged_trial(tmp_path: Path, mode: str) -> None:
    [figure] = crash_clones.clones(Settings(False, 0, tmp_path), mode, every=23)
    assert figure.met, figure
    assert " 0 refused" in figure.measured


@traced
def test_a_store_that_synchronises_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(connection: sqlite3.Connection, *, network: bool) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    monkeypatch.setattr(sqlite_file, "_make_durable", careless)
    [figure] = crash_clones.clones(Settings(False, 0, tmp_path), crash_clones.LOG, every=23)
    assert not figure.met
    assert any("is lost" in fault for fault in figure.faults)


def test_what_a_crash_leaves() -> None:
    disk, draw = Disk(), random.Random(0)
    before = [Operation("create", "/d/a"), Operation("write", "/d/a", b"x" * 1024), Operation("sync", "/d/a")]
    for operation in before:
        disk.apply(operation)
    assert disk.crashed(draw, 0.0) == {}
    assert disk.crashed(draw, 2.0) == {"/d/a": b"x" * 1024}
    disk.apply(Operation("sync", "/d"))
    disk.apply(Operation("write", "/d/a", b"y" * 1024, 512))
    disk.apply(Operation("rename", "/d/a", target="/d/b"))
    assert disk.crashed(draw, 0.0) == {"/d/a": b"x" * 1024}
    assert disk.crashed(draw, 2.0) == {"/d/b": b"x" * 512 + b"y" * 1024}
    torn = {bytes(next(iter(disk.crashed(draw, 0.5).values())) or b"") for _ in range(50)}
    assert torn == {
        b"x" * 1024,
        b"x" * 512 + b"y" * 512,
        b"x" * 1024 + b"y" * 512,
        b"x" * 512 + b"y" * 1024,
    }
    disk.apply(Operation("cut", "/d/b", place=3))
    disk.apply(Operation("sync", "/d/b"))
    disk.apply(Operation("unlink", "/d/b"))
    assert disk.crashed(draw, 2.0) == {}
    assert set(disk.crashed(draw, 0.0).values()) == {b"xxx"}
