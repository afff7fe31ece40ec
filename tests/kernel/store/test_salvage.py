"""What can be read of a damaged store, and the store that is made of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.search import Bits, Chain, run_toy

from nas.errors import StoreError
from nas.space import enumerate_all
from nas.store import Store
from nas.store.salvage import salvage, write
from nas.trial import Score

ALL = list(enumerate_all(Bits()))
SCORE = Score(0.5, 0.1, (0.5,), (0.5,), {}, {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of a search of eight trials."""
    path = tmp_path / "trials.sqlite"
    with Store.create(path, {"config": {"a": 1}}) as store:
        run_toy(store, trials=8)
        store.put("final", {"b": 2})
    return path


def statement(path: Path, text: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(text)
        connection.commit()


def test_a_sound_store_is_copied_whole(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    read = salvage(path)
    assert read.complete
    assert read.problems == ()
    write(read.usable, tmp_path / "copy.sqlite")
    with Store.open(path, readonly=True) as store, Store.open(tmp_path / "copy.sqlite") as copy:
        assert (copy.trials(), copy.told(), copy.items()) == (store.trials(), store.told(), store.items())
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", ["UPDATE trials SET seed = 9", "DELETE FROM trials"])
def test_the_copy_is_the_search_before_the_lost_trial_and_can_be_continued(
    path: Path, tmp_path: Path, change: str
) -> None:
    with Store.open(path, readonly=True) as store:
        whole = store.trials()
    statement(path, f"{change} WHERE number = 3")
    read = salvage(path)
    assert read.lost == (3,)
    write(read.usable, tmp_path / "copy.sqlite")
    with Store.open(tmp_path / "copy.sqlite") as copy:
        assert copy.trials() == whole[:3]
        copy.replay(Chain())
        run_toy(copy, trials=8)
        assert copy.trials() == whole


def test_of_trials_told_in_another_order_those_kept_are_told_of_in_the_same_order(tmp_path: Path) -> None:
    path = tmp_path / "trials.sqlite"
    with Store.create(path, {}) as store:
        trials = store.propose(ALL[:4], 1, 1)
        for number in (3, 1, 2, 0):
            store.finish(replace(trials[number], state="done", score=SCORE, seconds=0.1))
    statement(path, "UPDATE trials SET error = 'x' WHERE number = 3")
    write(salvage(path).usable, tmp_path / "copy.sqlite")
    with Store.open(tmp_path / "copy.sqlite") as copy:
        assert [trial.number for trial in copy.told()] == [1, 2, 0]


def test_a_lost_trial_at_the_end_is_noticed_by_its_place_in_the_order_of_telling(tmp_path: Path) -> None:
    path = tmp_path / "trials.sqlite"
    with Store.create(path, {}) as store:
        trials = store.propose(ALL[:3], 1, 1)
        for number in (2, 0, 1):
            store.finish(replace(trials[number], state="done", score=SCORE, seconds=0.1))
    statement(path, "DELETE FROM trials WHERE number = 2")
    assert salvage(path).lost == (2,)


def test_a_damaged_number_is_one_lost_trial(path: Path) -> None:
    with Store.open(path, readonly=True) as store:
        count = len(store.trials())
    statement(path, f"UPDATE trials SET number = {2**40} WHERE number = {count - 1}")
    assert salvage(path).lost == (count - 1,)


def test_a_damaged_record_is_left_out(path: Path, tmp_path: Path) -> None:
    statement(path, "UPDATE records SET value = '{}' WHERE key = 'final'")
    read = salvage(path)
    assert (read.lost_records, sorted(read.records)) == (("final",), ["meta"])
    assert read.value("meta") == {"config": {"a": 1}}
    write(read.usable.without({"meta"}), tmp_path / "copy.sqlite")
    assert salvage(tmp_path / "copy.sqlite").records == {}


def test_damage_at_any_place_is_read_around_or_refused_in_words(path: Path, tmp_path: Path) -> None:
    """Whole pages and single bytes; what is read is right or called lost."""
    with Store.open(path) as store:
        for _ in range(30):
            store.finish(replace(store.propose(ALL[:1], 1, 1)[0], state="failed", error="x" * 200))
        whole = store.trials()
    data, damaged, readable = path.read_bytes(), tmp_path / "damaged.sqlite", 0
    places = [(at, 4096) for at in range(0, len(data), 4096)] + [(at, 1) for at in range(5, len(data), 2999)]
    for start, length in places:
        damaged.write_bytes(data[:start] + b"\xa5" * length + data[start + length :])
        try:
            read = salvage(damaged)
        except StoreError:
            continue
        readable += 1
        copy = tmp_path / f"copy{start}-{length}.sqlite"
        write(replace(read.usable, records={"meta": "{}"}), copy)
        with Store.open(copy) as store:
            kept = store.trials()
        assert kept == whole[: len(kept)]
        assert len(kept) == len(whole) or not read.complete
    assert readable > 5


@pytest.mark.parametrize("data", [b"", b"hello" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_nothing_is_read_of_what_is_no_store(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged from its beginning|is not a store"):
        salvage(path)
    assert path.read_bytes() == data
