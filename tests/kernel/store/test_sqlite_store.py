"""SQLite store: it keeps what it acknowledged, and raises where it cannot."""

from __future__ import annotations

import errno
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.search import TRIALS, Bits, Chain, run_toy

from nas.errors import RunError, StoreError
from nas.space import enumerate_all
from nas.store import Store, lock, sqlite_file
from nas.store.file_system import FileSystem
from nas.store.overview import overview
from nas.store.schema import SCHEMA
from nas.trial import Score, Trial, without_duplicates

SCORE = Score(0.1 + 0.2, 1e-300, (0.0, 1 / 3), (0.5,), {"flops": 2.0}, {"ways": 5})
ALL = list(enumerate_all(Bits()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trials.sqlite"


def done(trial: Trial, **changes: object) -> Trial:
    return replace(trial, **{"state": "done", "score": SCORE, "seconds": 0.25, **changes})


def filled(path: Path) -> None:
    """A store with finished, failed and pending trials and a record, closed."""
    with Store.create(path, {"config": {"a": 1}}) as store:
        run_toy(store)
        store.propose(ALL[:2], 3, 7)
        store.put("final/a", [1, None])


def content(path: Path) -> tuple[object, ...]:
    with Store.open(path, readonly=True) as store:
        return store.trials(), store.told(), store.items()


def test_gives_back_what_it_was_given(path: Path) -> None:
    with Store.create(path, {"config": {"a": [1, "é"]}}) as store:
        first = store.propose(ALL[:2], 10, 2**31)
        assert [trial.number for trial in first] == [0, 1]
        assert store.finish(done(first[1]))
        failed = replace(first[0], state="failed", error="ValueError: ±", seconds=None)
        assert store.finish(failed)
        (last,) = store.propose(ALL[2:3], 11, 0)
    with Store.open(path) as store:
        assert store.meta == {"config": {"a": [1, "é"]}}
        assert store.trials() == [failed, done(first[1]), last]
        assert store.told() == [done(first[1]), failed]
        assert store.pending() == [last]
        assert store.propose([], 1, 1) == []
        assert store.propose(ALL[:1], 1, 1)[0].number == 3


def test_a_trial_is_finished_once(path: Path) -> None:
    with Store.create(path, {}) as store:
        (trial,) = store.propose(ALL[:1], 1, 1)
        assert store.finish(done(trial))
        assert not store.finish(replace(trial, state="failed", error="late"))
        assert store.told() == [done(trial)]
        with pytest.raises(StoreError, match="pending"):
            store.finish(trial)
        with pytest.raises(StoreError, match="no trial 1"):
            store.finish(done(replace(trial, number=1)))


def test_a_promotion_is_a_trial_that_the_controller_neither_asked_for_nor_hears_of(path: Path) -> None:
    told: list[Trial] = []

    class Listener(Chain):
        def tell(self, trials: Sequence[Trial]) -> None:
            super().tell(trials)
            told.extend(trials)

    controller = Listener()
    with Store.create(path, {}) as store:
        (first,) = store.propose(controller.ask(1), 2, 7)
        store.finish(done(first))
        controller.tell([done(first)])
        above = store.promote(done(first), 6)
        assert above == Trial(1, first.architecture, 6, 7)
        assert store.pending() == [above]
        (second,) = store.propose(controller.ask(1), 2, 7)
        assert store.finish(done(above))
        assert not store.finish(replace(above, state="failed", error="late"))
        store.finish(done(second))
        controller.tell([done(second)])
    with Store.open(path) as store:
        assert store.trials() == [done(first), done(above), done(second)]
        assert store.told() == told == [done(first), done(second)]
        assert store.promoted() == {1}
        again = Chain()
        store.replay(again)
        assert again.ask(3) == controller.ask(3)


def test_a_duplicate_is_proposed_and_told_like_any_other_and_keeps_whose_result_it_has(path: Path) -> None:
    controller = Chain()
    with Store.create(path, {}) as store:
        (first,) = store.propose(controller.ask(1), 2, 7)
        again = store.propose_duplicate(*controller.ask(1), first)
        assert (again.number, again.budget, again.seed, again.state, again.duplicate_of) == (1, 2, 7, "pending", 0)
        assert store.pending() == [first, again]
        for trial in (done(first), done(again)):
            assert store.finish(trial)
            controller.tell([trial])
    with Store.open(path) as store:
        assert store.trials() == store.told() == [done(first), done(again)]
        assert [trial.duplicate_of for trial in store.trials()] == [None, 0]
        fresh = Chain()
        store.replay(fresh)
        assert fresh.ask(3) == controller.ask(3)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_refuses_numbers_that_json_has_not(path: Path, number: float) -> None:
    with Store.create(path, {}) as store:
        (trial,) = store.propose(ALL[:1], 1, 1)
        for bad in (replace(SCORE, metrics={"x": number}), replace(SCORE, curve=(number,))):
            with pytest.raises(StoreError, match="score of trial 0 cannot be stored"):
                store.finish(done(trial, score=bad))
        with pytest.raises(StoreError, match="cannot be stored"):
            store.finish(done(trial, seconds=number))
        with pytest.raises(StoreError, match="'k' cannot be stored"):
            store.put("k", [number])
        assert store.pending() == [trial]
        assert store.items() == {"meta": {}}


@pytest.mark.parametrize("seed, error", [(2**63, None), (0, "\ud800")])
def test_refuses_what_sqlite_has_not(path: Path, seed: int, error: str | None) -> None:
    with Store.create(path, {}) as store:
        with pytest.raises(StoreError, match="cannot hold"):
            store.finish(replace(store.propose(ALL[:1], 1, seed)[0], state="failed", error=error))
        assert store.told() == []


def test_records(path: Path) -> None:
    with Store.create(path, {"x": 1}) as store:
        store.put("final/b", 1)
        store.put("final/a", {"k": [None, True]})
        store.put("final/b", 2)
        store.put("final%", 3)
        assert store.get("none") is None
        assert store.get("final/b") == 2
        assert store.items("final/") == {"final/a": {"k": [None, True]}, "final/b": 2}
        assert list(store.items()) == ["final%", "final/a", "final/b", "meta"]


def test_replay_refuses_another_controller(path: Path) -> None:
    with Store.create(path, {}) as store:
        run_toy(store)
        with pytest.raises(StoreError, match=r"controller or space changed since trial 0"):
            store.replay(Chain(seed=1))
        with pytest.raises(StoreError, match=r"since trial 1"):
            store.replay(Chain(batch=2))  # it asks the same until it should have learned from the first
        store.replay(Chain())


def test_one_process_writes_and_others_read(path: Path) -> None:
    with Store.create(path, {}) as store:
        assert lock.in_use(path)
        store.propose(ALL[:1], 1, 1)
        for again in (lambda: Store.open(path), lambda: Store.create(path, {})):
            with pytest.raises(
                RunError, match=rf"in use by process {os.getpid()} on .*, started 2.*; wait for it to end, or stop it"
            ):
                again()
        with Store.open(path, readonly=True) as reader:
            (trial,) = reader.pending()
            store.finish(done(trial))
            assert reader.told() == [done(trial)]
            with pytest.raises(StoreError, match="reading only"):
                reader.put("k", 1)
    assert not lock.in_use(path)
    with pytest.raises(StoreError, match="closed"):
        store.trials()
    with Store.open(path) as store:
        assert len(store.told()) == 1


def test_create_and_open_keep_what_is_there(path: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        Store.open(path)
    with pytest.raises(StoreError, match="check the folder"):
        Store.create(tmp_path / "none" / "trials.sqlite", {})
    filled(path)
    before = content(path)
    with pytest.raises(RunError, match="exists already"):
        Store.create(path, {})
    assert content(path) == before


def test_a_creation_that_was_killed_can_be_repeated(path: Path) -> None:
    path.with_name(path.name + ".new").write_bytes(b"half")
    Store.create(path, {"a": 1}).close()
    assert [p.name for p in sorted(path.parent.iterdir())] == [path.name, path.name + ".lock"]


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b"hello\n" * 1000])
@pytest.mark.parametrize("readonly", [True, False])
def test_refuses_files_that_are_none_of_its_own_and_leaves_them(path: Path, data: bytes, readonly: bool) -> None:
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"trials\.sqlite is (not a store|damaged)"):
        Store.open(path, readonly=readonly)
    assert path.read_bytes() == data


def test_refuses_other_programs_and_versions(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE trials (number INTEGER)")
    connection.close()
    data = path.read_bytes()
    with pytest.raises(StoreError, match="not a store of this program"):
        Store.open(path)
    assert path.read_bytes() == data
    path.unlink()
    filled(path)
    for other in (0, SCHEMA + 1):
        connection = sqlite3.connect(path)
        connection.execute(f"PRAGMA user_version = {other}")
        connection.close()
        with pytest.raises(StoreError, match=rf"schema version {other}, but this program reads version {SCHEMA}; use"):
            Store.open(path)


def test_a_cut_file_is_refused(path: Path, tmp_path: Path) -> None:
    filled(path)
    data = path.read_bytes()
    torn = tmp_path / "torn.sqlite"
    for size in [*range(0, len(data), 509), *range(len(data) - 40, len(data))]:
        torn.write_bytes(data[:size])
        with pytest.raises(StoreError, match=r"torn\.sqlite"):
            Store.open(torn)


def test_a_flipped_bit_is_found_or_harmless(path: Path, tmp_path: Path) -> None:
    filled(path)
    whole, data = content(path), path.read_bytes()
    flipped, found = tmp_path / "flipped.sqlite", 0
    schema = range(data.index(b"CREATE TABLE trials"), len(data[:4096]), 11)
    for place in [*range(0, len(data), 61), *schema]:
        flipped.write_bytes(data[:place] + bytes([data[place] ^ 128 >> place % 8]) + data[place + 1 :])
        with suppress(StoreError):
            assert content(flipped) == whole, place
            continue
        found += 1
    assert found > 20


def test_a_cut_log_loses_its_own_tail_only(path: Path, tmp_path: Path) -> None:
    """Copies of an open store: the file is at most one commit behind, and a torn log ends a whole history early."""
    states = []
    with Store.create(path, {}) as store:
        for architecture in ALL[:3]:
            store.finish(done(store.propose([architecture], 1, 1)[0]))
            states.append(store.trials())
        (last,) = store.propose(ALL[3:4], 1, 1)
        states.append([*states[-1], last])
        log = Path(f"{path}-wal").read_bytes()
        assert len(log) > 1000
        for size in [*range(0, len(log), 97), len(log)]:
            shutil.copy(path, tmp_path / "copy.sqlite")
            (tmp_path / "copy.sqlite-wal").write_bytes(log[:size])
            with Store.open(tmp_path / "copy.sqlite") as copy:
                assert copy.trials() in states[-2:]
        assert content(tmp_path / "copy.sqlite")[0] == states[-1]


def test_proposals_may_be_left_to_the_next_result(path: Path) -> None:
    with Store.create(path, {}) as store:
        (first,) = store.propose(ALL[:1], 1, 1)
        (second,) = store.propose(ALL[1:2], 1, 1, later=True)
        again = store.propose_duplicate(ALL[2], first, later=True)
        assert [trial.number for trial in (first, second, again)] == [0, 1, 2]
        assert store.pending() == store.trials() == [first, second, again]
        assert content(path)[0] == [first]
        store.finish(done(second))
        assert content(path)[0] == store.trials() == [first, done(second), again]
        store.propose(ALL[3:4], 1, 1, later=True)
    with Store.open(path) as store:
        assert len(store.trials()) == 3
        assert store.told() == [done(second)]


FULL = """
import resource, sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from helpers.search import *
from nas.errors import StoreError
from nas.trial import without_duplicates
store = Store.create(Path(sys.argv[1]), {})
run_toy(store, trials=4)
before = store.trials()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
class Long(Toy):
    def evaluate(self, *args):
        return replace(Toy(True).evaluate(*args), per_task=(1 / 3,) * 1000)
try:
    run_toy(store, evaluator=Long(), trials=40)
except StoreError as error:
    print(error)
kept = store.trials()
assert kept[:4] == before and 4 < len(without_duplicates(kept)) < 40, len(kept)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert run_toy(store, evaluator=Long(), trials=40) == "done"
print([t.state for t in without_duplicates(store.trials())[4:]] == ["done"] * 36)
"""


def test_a_full_disk_is_said_and_loses_nothing(path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines()[-1:] == ["True"], ran.stderr
    assert "free space" in ran.stdout
    assert len(without_duplicates(content(path)[0])) == 40


def test_works_without_a_write_ahead_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "file_system", lambda _path: FileSystem("nfs4"))
    filled(path)
    with Store.open(path) as store:
        assert len(store.told()) == TRIALS
        store.put("k", 1)
        assert not Path(f"{path}-wal").exists()


def test_a_folder_that_is_read_only_is_called_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(
        StoreError, match=r"is read-only .Read-only file system.*copy the run's folder to a folder of yours"
    ):
        Store.open(path)


@pytest.fixture
def killed_in_a_write(path: Path, tmp_path: Path) -> tuple[Path, tuple[object, ...]]:
    """A copy, as a kill in the middle of a write leaves it, of a store without a write-ahead log, and its content."""
    filled(path)
    before = content(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute("UPDATE trials SET error = hex(zeroblob(3000))")
    copy = tmp_path / "killed" / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)
    shutil.copy(f"{path}-journal", f"{copy}-journal")
    connection.close()
    assert copy.read_bytes() != path.read_bytes()
    return copy, before


def test_a_look_undoes_a_write_in_whose_middle_the_writer_was_killed(
    killed_in_a_write: tuple[Path, tuple[object, ...]],
) -> None:
    killed, before = killed_in_a_write
    assert overview(killed, "meta").trials == len(before[0])  # type: ignore[arg-type]
    assert content(killed) == before


def test_where_the_write_cannot_be_undone_the_look_says_what_does_it(
    killed_in_a_write: tuple[Path, tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, before = killed_in_a_write

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(lock.Lock, "take", refuse)
        with pytest.raises(StoreError, match=r"killed in the middle of a write; `nas resume` repairs it, or copy"):
            content(killed)
    with Store.open(killed):
        pass
    assert content(killed) == before


def test_a_journal_beside_another_programs_file_is_left(path: Path) -> None:
    path.write_bytes(b"hello\n" * 1000)
    Path(f"{path}-journal").write_bytes(b"mine")
    with pytest.raises(StoreError):
        Store.open(path, readonly=True)
    assert Path(f"{path}-journal").read_bytes() == b"mine"
