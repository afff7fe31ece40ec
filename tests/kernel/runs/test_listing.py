"""List of runs: sound, damaged, of other versions, without trials; and the removal of weights that nothing needs."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.launch import Quiet, in_this_process, own_runs, result, toy  # noqa: F401  # fixtures

from nas.report.run_list import age_text, runs_text, size_text
from nas.runs import folder, launch, summary
from nas.runs.cleaning import remove, unneeded
from nas.runs.extending import Extension
from nas.runs.folder import RunFolder
from nas.runs.listing import run_rows
from nas.store import Store


@pytest.fixture(name="run")
def finished_run(inline) -> RunFolder:
    run = folder.new_run("whole", "toy")
    launch.start(toy(final={"top": 2}), run, Quiet())
    return run


def empty(name: str) -> RunFolder:
    run = folder.new_run(name, "toy")
    folder.create(run, toy()).close()
    return run


def test_a_run_is_listed_with_what_its_store_holds(run):
    os.utime(run.store_path, (1000, 1000))
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    [row] = run_rows(now=1090)
    told = summary.summary(run)
    assert (row.name, row.state, row.space, row.tasks) == ("whole", "done", "mlp", "sinusoid")
    assert (row.done, row.wanted, row.problem) == (4, 4, None)
    assert (row.best, row.best_stderr) == (told.best.value, told.best.stderr)
    assert row.age_s == 90
    assert row.size == size
    assert row.to_json()["best"] == told.best.value


def test_retries_are_no_candidates_and_the_newest_run_comes_first(run):
    with Store.open(run.store_path) as store:
        store.retry(store.trials()[0])
        [again] = store.pending()
        store.finish(replace(again, state="failed", error="no"))
    other = empty("other")
    os.utime(other.store_path, (1000, 1000))
    rows = run_rows()
    assert [row.name for row in rows] == ["whole", "other"]
    assert (rows[0].done, rows[1].done) == (4, 0)


def test_what_is_wrong_with_a_run_is_said_in_its_row(run, runs_here: Path):
    empty("new")
    with Store.open(empty("broke").store_path) as store:
        store.put("state", {"state": "failed", "reason": "no candidate was scored"})
    empty("garbage").store_path.write_bytes(b"garbage" * 1000)
    for name, statement in (("later", "PRAGMA user_version = 99"), ("meta", "UPDATE records SET value = '{}'")):
        connection = sqlite3.connect(empty(name).store_path)
        connection.execute(statement)
        connection.commit()
        connection.close()
    with Store.open(empty("shape").store_path) as store:
        store.put("meta", {"config": {"space": "mlp"}})
    (runs_here / "killed").mkdir()
    (runs_here / "killed" / "trials.sqlite.lock").touch()
    (runs_here / "comparison").mkdir()
    (runs_here / "notes.txt").touch()
    (runs_here / "link").symlink_to(run.folder)
    rows = {row.name: row for row in run_rows()}
    assert set(rows) == {"whole", "new", "broke", "garbage", "later", "meta", "shape", "killed"}
    assert (rows["new"].state, rows["new"].problem) == ("interrupted", "no trials yet")
    assert (rows["broke"].state, rows["broke"].problem) == ("failed", "no candidate was scored")
    parts = {
        "garbage": "damaged",
        "later": "schema version 99",
        "meta": "damaged (record 'meta')",
        "shape": "of another version",
        "killed": "its start was broken off",
    }
    for name, part in parts.items():
        assert rows[name].state == "unreadable"
        assert part in rows[name].problem
    shown = runs_text(list(rows.values()), 80).splitlines()
    assert len(shown) == 1 + 8 + 7
    assert shown[shown.index(next(line for line in shown if line.startswith("later"))) + 1].startswith("  ")


def test_without_a_folder_of_runs_there_are_none():
    assert run_rows() == []


def test_a_narrow_list_has_four_columns_and_fits(run):
    [row] = run_rows()
    heading, line = runs_text([row], 40).splitlines()
    assert heading.split() == ["name", "state", "best", "done"]
    assert line.split()[:2] == ["whole", "done"]
    assert max(len(heading), len(line)) <= 40


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e6, "2.5 MB"), (3e15, "3000.0 TB")]
)
def test_sizes_have_units(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(("age", "text"), [(-1, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (2e5, "2 d")])
def test_ages_have_units(age, text):
    assert age_text(age) == text


def test_only_weights_that_no_result_needs_are_removed(run, tmp_path: Path):
    weights = run.folder / "weights"
    (weights / "mine.safetensors").touch()
    before, told = {path.name for path in weights.iterdir()}, summary.summary(run)
    [found] = unneeded([run])
    gone = {path.name for path in found.files}
    assert gone
    assert found.size == sum(path.stat().st_size for path in found.files)
    final = told.final
    kept = {run.weights(final.winner.architecture, final.winner.weights_seed).name, "mine.safetensors"}
    kept |= {run.weights(final.baseline.architecture, seed).name for seed in (1, 2)}
    kept |= {run.weights(trial.architecture, 1).name for trial in told.trials}
    assert gone == before - kept
    whole = result(run)
    assert remove([found]) == [found]
    assert {path.name for path in weights.iterdir()} == before & kept
    assert unneeded([run]) == []
    assert result(run) == whole
    assert launch.resume(run, Quiet()).final == final
    with Store.open(run.store_path, readonly=True) as store:
        parts = launch.build(folder.config_of(store))
        winner = parts.measurer.trained(
            final.winner.architecture,
            3,
            final.winner.weights_seed,
            run.weights(final.winner.architecture, final.winner.weights_seed),
        )
    assert winner is not None


def test_an_extended_run_trains_again_what_was_removed_and_has_the_same_result(run):
    other = folder.new_run("kept", "toy")
    launch.start(toy(final={"top": 2}), other, Quiet())
    remove(unneeded([run]))
    for each in (run, other):
        launch.resume(each, Quiet(), extension=Extension(trials=8))
    assert result(run) == result(other)


def test_runs_that_are_not_done_in_use_or_damaged_lose_nothing(run):
    [found] = unneeded([run])
    with Store.open(run.store_path) as store:
        notes: list[str] = []
        assert remove([found], notes.append) == []
        assert len(notes) == 1
        assert notes[0].startswith(f"{run.name} is left as it is: ")
        store.put("final", None)
    assert unneeded([run]) == []
    [removed] = remove([found])  # it was extended since the look
    assert removed.files == ()
    run.store_path.write_bytes(b"garbage" * 1000)
    assert unneeded([run]) == []
    assert all(path.exists() for path in found.files)
