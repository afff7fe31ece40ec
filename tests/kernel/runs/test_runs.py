"""Folders of runs: names that can be used, and the state of a run."""

from __future__ import annotations

import errno
import os
import string
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.analysis import ranking
from nas.architecture import Architecture
from nas.config import Config, from_json
from nas.errors import ConfigError, NasError, RunError, StoreError
from nas.runs import folder as runs
from nas.runs import summary as run_summary
from nas.store import Store
from nas.store.lock import Lock
from nas.trial import Score, Trial

steady = settings(deadline=None, derandomize=True, database=None)
ALLOWED = set(string.ascii_letters + string.digits + "._-")


@pytest.fixture(autouse=True)
def runs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runs"
    monkeypatch.setenv("NAS_RUNS", str(folder))
    return folder


@pytest.fixture
def config() -> Config:
    return from_json({"space": {"name": "mlp"}, "tasks": {"name": "sinusoid"}, "final": {"baseline": "mlp40"}})


def architecture(number: int) -> Architecture:
    return Architecture("mlp", {"depth": number})


def trial(number: int, value: float | None, kind: int) -> Trial:
    if value is None:
        return Trial(number, architecture(kind), 1, 0, "failed", error="it broke")
    return Trial(number, architecture(kind), 1, 0, "done", Score(value, 0.1, per_task=(value, value)), seconds=1.0)


@steady
@given(st.text(max_size=80) | st.text("ab._-/", max_size=70))
def test_a_name_is_taken_only_if_it_stays_inside_the_runs(name):
    if not (set(name) <= ALLOWED and 1 <= len(name) <= 64 and name[0].isalnum() and name[-1] != "."):
        with pytest.raises(RunError) as caught:
            runs.run_of(name)
        assert caught.value.exit_status == 2
        assert len(str(caught.value)) < 400
        return
    run = runs.run_of(name)
    assert run.folder.parent.resolve() == runs.runs_folder().resolve()
    assert run.folder.resolve().name == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "...", "../x", "/x", "a/b", "a\0", "a\n", "x" * 65, "x" * 300, "é", " ", "-rf", "_a", ".data"],
)
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_written(name, runs_here):
    for refused in (lambda: runs.new_run(name, "c.toml"), lambda: runs.existing_run(name)):
        with pytest.raises(RunError, match="cannot be used; take 1 to 64 of the characters"):
            refused()
    assert not runs_here.exists()


@pytest.mark.parametrize("name", ["con", "NUL", "Aux.toml", "com1", "lpt9.a.b", "prn.", "a."])
def test_a_name_that_some_file_systems_do_not_keep_is_refused(name, runs_here):
    with pytest.raises(RunError, match="some file systems keep it for a device, or drop a full stop"):
        runs.new_run(name, "c.toml")
    assert not runs_here.exists()


@pytest.mark.parametrize("name", ["console", "a.con", "con-1", "com", "com10", "0", "7-a", "A"])
def test_names_like_reserved_ones_are_taken(name):
    assert runs.new_run(name, "c.toml").name == name


@pytest.mark.parametrize(
    ("config_name", "name"),
    [("con.toml", "con-1"), ("nul.x.toml", "run-nul.x-1"), ("_a.toml", "a-1"), ("-.toml", "run--1")],
)
def test_automatic_names_can_be_used_whatever_the_config_is_called(config_name, name):
    assert runs.new_run(None, config_name).name == name


def test_a_link_is_no_run(runs_here, config, tmp_path):
    runs.create(runs.new_run("real", "c.toml"), config).close()
    (runs_here / "link").symlink_to("real")
    (runs_here / "broken").symlink_to(tmp_path / "nowhere")
    for name in ("link", "broken"):
        for refused in (lambda n=name: runs.new_run(n, "c.toml"), lambda n=name: runs.existing_run(n)):
            with pytest.raises(RunError, match="is a link"):
                refused()


def test_runs_without_a_name_are_numbered_after_their_config(runs_here, config):
    for number in (1, 2, 3):
        run = runs.new_run(None, "some/where/my study!.toml")
        assert run.name == f"my_study_-{number}"
        runs.create(run, config).close()
    (runs_here / "my_study_-2" / "trials.sqlite").unlink()
    assert runs.new_run(None, "my study!.toml").name == "my_study_-4"
    assert runs.new_run(None, "--x.toml").name == "x-1"
    assert len(runs.new_run(None, "y" * 300 + ".toml").name) <= 64


def test_a_name_that_is_taken_is_refused_with_what_to_do(runs_here, config):
    runs.create(runs.new_run("a", "c.toml"), config).close()
    before = sorted(runs_here.rglob("*"))
    with pytest.raises(RunError, match="continue it with `nas resume a`, or give another --name"):
        runs.new_run("a", "c.toml")
    with pytest.raises(RunError, match="give another --name"):
        runs.create(runs.run_of("a"), config)
    (runs_here / "mine").mkdir()
    (runs_here / "mine" / "notes.txt").touch()
    with pytest.raises(RunError, match="holds no run; remove it, or give another --name"):
        runs.new_run("mine", "c.toml")
    with pytest.raises(RunError, match="give another --name"):
        runs.create(runs.run_of("mine"), config)
    assert sorted(runs_here.rglob("*")) == sorted([*before, runs_here / "mine", runs_here / "mine" / "notes.txt"])


LEFTOVERS = ("trials.sqlite.lock", "trials.sqlite.new", "trials.sqlite.new-journal")


@pytest.mark.parametrize("count", range(len(LEFTOVERS) + 1))
def test_the_next_run_of_a_name_takes_over_the_folder_of_a_creation_that_was_killed(runs_here, config, count):
    (runs_here / "a").mkdir(parents=True)
    for name in LEFTOVERS[:count]:
        (runs_here / "a" / name).write_bytes(b"half")
    with runs.create(runs.new_run("a", "c.toml"), config) as store:
        assert runs.config_of(store) == config
    assert sorted(path.name for path in (runs_here / "a").iterdir()) == ["trials.sqlite", "trials.sqlite.lock"]


def test_a_folder_in_which_another_process_makes_a_run_is_left_to_it(runs_here, config):
    (runs_here / "a").mkdir(parents=True)
    (runs_here / "a" / "trials.sqlite.new").touch()
    lock = Lock(runs_here / "a" / "trials.sqlite")
    lock.take()
    with pytest.raises(RunError, match="in use by process"):
        runs.create(runs.run_of("a"), config)
    assert (runs_here / "a" / "trials.sqlite.new").exists()
    lock.release()


def test_a_run_that_cannot_be_made_leaves_nothing(runs_here, config, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        runs.create(runs.run_of("a"), config)
    assert list(runs_here.iterdir()) == []


def test_a_comparison_takes_over_the_folder_of_one_whose_creation_was_killed(runs_here):
    (runs_here / "a").mkdir(parents=True)
    (runs_here / "a" / "results.sqlite.lock").touch()
    assert runs.comparison_folder("a", None, "c.toml") == runs_here / "a"
    (runs_here / "a" / "notes.txt").touch()
    with pytest.raises(RunError, match="holds no comparison"):
        runs.comparison_folder("a", None, "c.toml")


def test_of_many_that_create_a_run_at_once_one_does(runs_here, config):
    for number in range(20):
        run = runs.new_run(f"race{number}", "c.toml")
        barrier, made, refused = threading.Barrier(4), [], []

        def create(run: runs.RunFolder = run, barrier: Any = barrier, made: Any = made, refused: Any = refused) -> None:
            barrier.wait()
            try:
                runs.create(run, config).close()
                made.append(run)
            except RunError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(made), len(refused)) == (1, 3)
        with Store.open(run.store_path) as store:
            assert runs.config_of(store) == config


def test_of_many_that_take_an_automatic_name_at_once_each_gets_a_number(runs_here, config):
    """All chose the name before any of them made its folder, as searches that are started at once do."""
    chosen = [runs.new_run(None, "tiny.toml") for _ in range(8)]
    assert {run.name for run in chosen} == {"tiny-1"}
    barrier, made = threading.Barrier(8), []

    def create(run: runs.Run) -> None:
        barrier.wait()
        with runs.create(run, config) as store:
            made.append(runs.run_of_store(store))

    threads = [threading.Thread(target=create, args=(run,)) for run in chosen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.name for run in made) == [f"tiny-{number}" for number in range(1, 9)]
    assert sorted(os.listdir(runs_here)) == sorted(run.name for run in made)
    for run in made:
        assert runs.existing_run(run.name) == run
        assert run_summary.summary(run).to_json()["config"] == config.to_json()


def test_the_folder_of_a_comparison_is_that_of_its_name(runs_here, config, tmp_path):
    assert runs.comparison_folder("mine", None, "a/b.toml") == runs_here / "mine"
    assert runs.comparison_folder(None, None, "a/b.toml") == runs_here / "compare-b"
    assert runs.comparison_folder(None, tmp_path / "x", "b.toml") == tmp_path / "x"
    runs.create(runs.new_run("a", "c.toml"), config).close()
    for name, folder, kind, why in (
        ("../x", None, RunError, "cannot be used; take 1 to 64 of the characters"),
        ("a", None, RunError, "is the name of a run"),
        ("b", tmp_path, ConfigError, "give one of them"),
    ):
        with pytest.raises(kind, match=why) as caught:
            runs.comparison_folder(name, folder, "b.toml")
        assert caught.value.exit_status == 2
    (runs_here / "mine").mkdir()
    assert runs.comparison_folder("mine", None, "b.toml") == runs_here / "mine"
    (runs_here / "mine" / "notes.txt").write_text("of something else")
    with pytest.raises(RunError, match="exists already, but holds no comparison; remove it, or give another --name"):
        runs.comparison_folder("mine", None, "b.toml")
    (runs_here / "mine" / runs.RESULTS).write_bytes(b"")
    assert runs.comparison_folder("mine", None, "b.toml") == runs_here / "mine"
    with pytest.raises(RunError, match="holds a comparison"):
        runs.new_run("mine", "c.toml")


@pytest.mark.parametrize("where", ["file", "file/deeper", "/proc/none", "/" + "x" * 300])
def test_a_place_for_runs_that_cannot_be_used_is_refused(monkeypatch, tmp_path, config, where):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / where))
    with pytest.raises(RunError, match="set NAS_RUNS to a folder of yours"):
        runs.create(runs.new_run("a", "c.toml"), config)
    with pytest.raises(RunError):
        runs.existing_run("a")


def test_a_store_that_cannot_be_made_leaves_no_folder(runs_here, config, monkeypatch):
    def full(*_: Any) -> Any:
        raise StoreError("the disk is full")

    run = runs.new_run("a", "c.toml")
    monkeypatch.setattr(runs.Store, "create", full)
    with pytest.raises(StoreError, match="full"):
        runs.create(run, config)
    assert os.listdir(runs_here) == []


def test_a_run_that_does_not_exist_is_said_so_with_those_that_do(runs_here, config):
    with pytest.raises(RunError, match=r"there is no run 'a' in .*runs; there are none yet"):
        runs.existing_run("a")
    runs.create(runs.new_run("b", "c.toml"), config).close()
    with pytest.raises(RunError, match="there are: b"):
        runs.existing_run("a")
    assert runs.existing_run("b").folder == runs_here / "b"


@pytest.mark.parametrize("meta", [{}, {"config": None}, {"config": "x"}, {"config": {"space": 1}}])
def test_a_store_without_a_config_of_ours_is_refused(runs_here, meta):
    run = runs.run_of("other")
    run.folder.mkdir(parents=True)
    Store.create(run.store_path, meta).close()
    with pytest.raises(StoreError, match="holds no config of this version"):
        run_summary.summary(runs.existing_run("other"))


def test_the_best_are_by_score_one_an_architecture_the_earliest_of_equals():
    trials = [trial(0, 0.9, 0), trial(1, 0.9, 1), trial(2, 0.9, 0), trial(3, None, 2), trial(4, 0.95, 3)]
    trials += [trial(5, 0.7, 3), trial(6, 0.8, 4), Trial(7, architecture(5), 1, 0)]
    assert [t.number for t in ranking.best(trials, 10)] == [4, 0, 1, 6]
    assert [t.number for t in ranking.best(list(reversed(trials)), 2)] == [4, 0]
    assert [t.number for t in ranking.best(trials)] == [4]
    assert ranking.best([trial(0, None, 0)]) == []


@steady
@given(st.lists(st.tuples(st.sampled_from([None, 0.0, 0.5, 1.0]), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_best_are_those_of_a_slow_search(drawn):
    trials = [trial(number, value, kind) for number, (value, kind) in enumerate(drawn)]
    left, expected = [t for t in trials if t.state == "done"], []
    while left:
        top = left[0]
        for candidate in left:
            if candidate.value > top.value:
                top = candidate
        expected.append(top.number)
        left = [t for t in left if t.architecture != top.architecture]
    assert [t.number for t in ranking.best(trials, 99)] == expected


def test_the_median_is_the_lower_middle_of_the_scored():
    scores = [0.3, 0.1, None, 0.2, 0.4]
    assert ranking.median([trial(i, value, i) for i, value in enumerate(scores)]).value == 0.2
    assert ranking.median([trial(i, value, i) for i, value in enumerate([0.3, 0.1, 0.2])]).value == 0.2


def test_scores_of_different_budgets_are_not_compared():
    """What was promoted comes before what was not; the median is of the lowest budget, which all candidates had."""
    low = [trial(0, 0.9, 0), trial(1, 0.8, 1), trial(2, 0.7, 2), trial(3, 0.2, 3), trial(4, 0.1, 4)]
    above = [
        replace(trial(5, 0.5, 1), budget=3),
        replace(trial(6, 0.6, 2), budget=3),
        replace(trial(7, None, 0), budget=3),
    ]
    top = replace(trial(8, 0.3, 1), budget=9)
    assert [t.number for t in ranking.best([*low, *above, top], 10)] == [8, 6, 0, 3, 4]
    assert ranking.median([*low, *above, top]).number == 2


def test_a_run_is_running_only_while_a_process_has_it(config):
    run = runs.new_run("a", "c.toml")
    with runs.create(run, config) as store:
        assert run_summary.summary(run).state == "running"
        store.propose([architecture(0)], 1, 0)
        store.finish(trial(0, 0.5, 0))
    summary = run_summary.summary(run).to_json()
    assert (summary["state"], summary["best"], summary["final"]) == ("interrupted", 0, None)
    assert summary["config"] == config.to_json()
    for said in ("done", "failed", "interrupted"):
        with Store.open(run.store_path) as store:
            store.put("state", {"state": said})
            assert run_summary.state(store, run) == said


def test_a_damaged_store_is_an_error_of_one_line(config):
    run = runs.new_run("a", "c.toml")
    runs.create(run, config).close()
    run.store_path.write_bytes(b"not a store" * 1000)
    with pytest.raises(NasError, match=r"trials\.sqlite"):
        run_summary.summary(runs.existing_run("a"))
