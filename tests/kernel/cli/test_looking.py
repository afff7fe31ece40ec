"""Commands that look at runs: the list, its cleaning, a run that is followed, CSV; and `nas resume` with extensions."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import TOY, Said, command_here, in_this_process  # noqa: F401  # fixtures
from helpers.launch import toy

from nas.architecture import Architecture
from nas.cli import watching
from nas.runs import folder, trial_logs
from nas.runs.folder import RUNNING, run_of
from nas.store import Store, rows
from nas.trial import Score

SCORE = Score(0.5, 0.01, metrics={"parameters": 12.0, "flops": 2.0})


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAS_RUNS", raising=False)
    (tmp_path / "toy.toml").write_text(TOY)
    return tmp_path


@pytest.fixture(name="store")
def running_store() -> Store:
    """The store of a run that this process has open, with three trials: done, failed and running."""
    store = folder.create(folder.new_run("a", "toy"), toy())
    trials = store.propose([Architecture("mlp", {"depth": depth}) for depth in range(2)], 2, 0)
    trials += store.propose([Architecture("mlp", {"width": 1})], 2, 0)
    store.finish(replace(trials[0], state="done", score=SCORE, seconds=1.0))
    store.finish(replace(trials[1], state="failed", error="ValueError: a, b", seconds=0.5))
    store.put("state", {"state": "running"})
    store.put(RUNNING, {"2": 0.0})
    return store


def test_trials_are_shown_as_csv_with_all_choices_and_metrics(store, call: Callable[..., Said]):
    said = call("show", "a", "--csv")
    assert said.status == 0
    assert (
        "columns index:NAME have indices of options, whose values are not known: choice 'width0' is missing" in said.err
    )
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [row["state"] for row in rows] == ["done", "failed", "pending"]
    assert [row["index:depth"] for row in rows] == ["0", "1", ""]
    assert [row["index:width"] for row in rows] == ["", "", "1"]
    assert [row["metric:parameters"] for row in rows] == ["12.0", "", ""]
    assert [row["error"] for row in rows] == ["", "ValueError: a, b", ""]
    assert rows[0]["key"] == Architecture("mlp", {"depth": 0}).key
    assert rows[0]["score"] == "0.5"
    store.retry(store.trials()[1])
    assert call("show", "a", "--csv").out.splitlines()[4].split(",")[2:5] == ["pending", "", "1"]


def test_a_run_is_followed_until_it_is_done(store, call: Callable[..., Said], monkeypatch):
    looks = iter(range(10))

    def meanwhile(_seconds: float) -> None:
        look = next(looks)
        if look == 1:
            store.finish(replace(store.trials()[2], state="done", score=SCORE, seconds=1.0))
        if look == 2:
            store.put("state", {"state": "done"})
            store.close()

    monkeypatch.setattr(watching.time, "sleep", meanwhile)
    said = call("show", "a", "--watch")
    assert said.status == 0
    assert said.out.splitlines()[:3] == [
        "2 of 4 done · 1 running · 1 failed · 0 duplicates",
        "3 of 4 done · 0 running · 1 failed · 0 duplicates",
        "a: done, 3 of 4 candidates",
    ]


def test_the_age_of_a_running_trial_is_that_of_its_start_and_its_control_is_followed_once_it_begins(store):
    run = run_of("a")
    shown, view = watching._look(run)
    assert shown == run
    assert set(view.running) == {2}
    assert view.running[2] > 1e9
    run.control.folder.mkdir()
    with Store.create(run.control.store_path, {"config": {}}) as other:
        assert watching._look(run)[0] == run
        other.propose([Architecture("mlp", {"depth": 1})], 2, 0)
        shown, view = watching._look(run)
    assert (shown, view.done, view.wanted, view.running) == (run.control, 0, 4, {})


def test_a_run_that_nobody_carries_out_is_shown_at_once(store, call: Callable[..., Said]):
    store.close()
    assert call("show", "a", "--watch").out.startswith("a: interrupted, 2 of 4 candidates")


def test_the_list_of_runs_is_a_table_or_one_document(store, call: Callable[..., Said]):
    said = call("runs")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[0].split() == ["name", "state", "best", "done", "age", "size", "space", "tasks"]
    assert re.match(r"a +running +0\.500 ± 0\.020 +2/4 +0 s +[0-9.]+ kB +mlp +sinusoid$", said.out.splitlines()[1])
    [row] = json.loads(call("runs", "--json").out)
    assert (row["name"], row["state"], row["best"], row["done"], row["wanted"]) == ("a", "running", 0.5, 2, 4)


def test_a_run_without_a_score_has_no_empty_table(call: Callable[..., Said]):
    folder.create(folder.new_run("empty", "toy"), toy()).close()
    assert call("show", "empty") == Said(0, "empty: interrupted, 0 of 4 candidates\nNo trial has a score yet.\n", "")


@pytest.mark.parametrize(
    ("table", "column", "where", "value", "part"),
    [
        ("records", "value", "key = 'final'", '{"winner":"text"}', "holds a final result that this version"),
        ("trials", "score", "number = 0", '{"points":0.5}', "holds a trial, number 0, that this version of adaptnas"),
    ],
)
@pytest.mark.parametrize("command", [["show", "a"], ["show", "a", "--json"], ["report", "a"], ["resume", "a"]])
def test_records_of_another_version_are_one_line(
    call: Callable[..., Said], table: str, column: str, where: str, value: str, part: str, command: list[str]
):
    with folder.create(folder.new_run("a", "toy"), toy()) as store:
        [trial] = store.propose([Architecture("mlp", {"depth": 0, "width0": 0, "activation": 0})], 2, 0)
        store.finish(replace(trial, state="done", score=SCORE, seconds=1.0))
        store.put_all({"final": {}, "state": {"state": "done"}})
    with closing(sqlite3.connect(run_of("a").store_path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))
        *columns, _ = connection.execute(f"SELECT * FROM {table} WHERE {where}").fetchone()
        connection.execute(f"UPDATE {table} SET digest = ? WHERE {where}", (rows.digest(*columns),))
    said = call(*command)
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)
    assert part in said.err
    assert "use the version of adaptnas that wrote it" in said.err
    assert json.loads(call("runs", "--json").out)[0]["state"] == "done"


def test_what_a_trial_printed_is_shown(store, call: Callable[..., Said]):
    store.close()
    trial_logs.keep(run_of("a"), "1", b"a\x1b[2J warning\n")
    assert call("show", "a", "--log", "1") == Said(0, "a?[2J warning\n\n", "")
    assert call("show", "a", "--log", "0") == Said(0, "", "nas: trial 0 printed nothing\n")


def test_without_runs_the_list_says_so(call: Callable[..., Said]):
    assert call("runs") == Said(0, "There are no runs in runs.\n", "")
    assert call("runs", "--json").out == "[]\n"
    assert call("runs", "--clean").out == "Removed 0 files of weights, 0 B.\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["show", "a", "--csv", "--json"], "give one of them"),
        (["show", "a", "--watch", "--json"], "give one of them"),
        (["show", "a", "--log", "1", "--json"], "give one of them"),
        (["show", "a", "--log", "3"], "run 'a' has no trial 3; it has 0 to 2"),
        (["runs", "--clean", "--json"], "add --yes"),
        (["resume", "a", "--finish", "--trials", "9"], "leave out one of them"),
        (["resume", "a", "--trials", "2"], "the run has 3 candidates already"),
        (["resume", "b", "--finish"], "there is no run 'b'"),
    ],
)
def test_contradictions_are_one_line_and_status_2(store, call: Callable[..., Said], arguments, part):
    store.close()
    said = call(*arguments)
    assert (said.status, said.out) == (2, "")
    assert part in said.err
    assert said.err.count("\n") == 1


def test_a_run_is_extended_retried_finished_and_cleaned(call: Callable[..., Said], inline, monkeypatch):
    assert call("search", "toy.toml", "--name", "a", "--quiet").err == ""
    said = call("resume", "a", "--trials", "5")
    assert said.status == 0
    assert "warning: this run's finals have used the test tasks before" in said.err
    assert "this run was extended: its finals used the test tasks before, after 3 scored trials" in said.out
    assert call("show", "a").out.startswith("a: done, 5 of 5 candidates")
    assert "no candidate failed" in call("resume", "a", "--retry", "failed").err
    assert call("resume", "a", "--retry", "all").status == 2
    assert call("resume", "a", "--finish").status == 0
    files = sorted(Path("runs/a/weights").iterdir())
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    said = call("runs", "--clean")
    assert said.status == 1
    assert re.search(r"a: \d+ files of weights, [0-9.]+ kB\nRemove ", said.err)
    assert sorted(Path("runs/a/weights").iterdir()) == files
    removed: Any = json.loads(call("runs", "--clean", "--yes", "--json").out)
    assert removed["runs"]["a"] == len(files) - len(list(Path("runs/a/weights").iterdir())) > 0
    assert call("export", "a", "--out", "net").status == 0
