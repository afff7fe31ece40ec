"""Searches on a person's own tables, from the file to the winner, at toy size."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.cli import command_here, in_this_process  # noqa: F401  # fixtures
from helpers.tables import classes_file, grouped_file, series_file

from nas.runs.folder import existing_run
from nas.store import Store

SETTINGS = """
[space]
name = "mlp"
[controller]
name = "random"
[evaluator]
learner = {{ name = "{learner}" }}
budget = 2
norm = "none"
tasks_per_step = 2
validation_tasks = 4
[search]
trials = 2
device = "cpu"
workers = 1
[final]
baseline = "mlp40"
top = 1
seeds = 1
validation_tasks = 4
tasks = 4
[tasks]
"""
CLASSES = 'name = "arrays"\npath = "classes.csv"\nlabel = "kind"\nways = 3\nshots = 1\nqueries = 3\n'
GROUPED = 'name = "arrays"\npath = "grouped.csv"\ntargets = ["dose"]\ngroup = "site"\nshots = 4\nqueries = 4\n'
PATIENTS = (
    'name = "arrays"\npath = "grouped.csv"\nlabel = "state"\ngroup = "site"\nfeatures = ["a", "b"]\nways = 2\n'
    "shots = 2\nqueries = 3\n"
)
SERIES = (
    'name = "sequences"\npath = "series.csv"\nchannels = 2\nlength = 8\ngroups = "tasks"\nways = 3\nshots = 1\n'
    "queries = 2\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize(
    "tasks, write, learner",
    [
        pytest.param(CLASSES, classes_file, "protonet", id="classes"),
        pytest.param(PATIENTS, grouped_file, "anil", id="groups"),
        pytest.param(GROUPED, grouped_file, "maml", id="regression"),
        pytest.param(SERIES, series_file, "ridge", id="series"),
    ],
)
def test_a_table_is_searched_and_exported(folder, call, tasks, write, learner):
    write(folder)
    (folder / "own.toml").write_text(SETTINGS.format(learner=learner) + tasks)
    said = call("search", "own.toml", "--name", "own")
    assert said.status == 0, said.err
    with Store.open(existing_run("own").store_path, readonly=True) as store:
        assert [trial.state for trial in store.trials()] == ["done", "done"]
    said = call("export", "own", "--out", "net")
    assert said.status == 0, said.err
    assert str(folder) not in (folder / "net" / "architecture.json").read_text()


@pytest.mark.usefixtures("inline")
def test_a_missing_column_is_said_in_one_line(folder, call):
    classes_file(folder)
    (folder / "own.toml").write_text(SETTINGS.format(learner="maml") + CLASSES.replace("kind", "knd"))
    said = call("search", "own.toml", "--name", "own")
    assert said.status == 2
    assert "did you mean 'kind'" in said.err
    assert not (folder / "runs" / "own").exists()
