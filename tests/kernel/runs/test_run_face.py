"""Runs from Python: started, continued and opened by name, with the results of the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.launch import Crash, Quiet, crash_at, in_this_process, own_runs, toy  # noqa: F401  # fixtures

from nas.errors import ConfigError, RunError
from nas.runs import open_run, resume, run_search, summary
from nas.runs import run as run_module
from nas.runs.exporting import ExportOptions
from nas.search_spaces import Mlp
from nas.store import Store


@pytest.fixture(autouse=True, name="toy_config")
def toys_in_place_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "load", lambda *_, **__: toy())


def test_a_run_is_carried_out_and_has_its_results(inline: None, runs_here: Path) -> None:
    run = run_search("toy.toml")
    assert (run.name, run.folder, run.state) == ("toy-1", runs_here / "toy-1", "done")
    assert len(run.trials) == 4
    final, winner = run.final, run.winner
    assert final is not None
    assert winner is not None
    assert winner == final.winner
    assert winner.architecture == run.trials[winner.number or 0].architecture
    assert winner.estimate.low <= winner.value <= winner.estimate.high
    with Store.open(run.run_folder.store_path, readonly=True) as store:
        assert json.dumps(store.get("final")) == json.dumps(final.to_json())
    assert json.dumps(summary.summary(run.run_folder).to_json()["final"]) == json.dumps(final.to_json())
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.run_folder = open_run("toy-1").run_folder  # type: ignore[misc]


def test_a_run_is_opened_by_its_name_with_the_same_results(inline: None, tmp_path: Path) -> None:
    run = run_search(name="mine")
    opened = open_run("mine")
    assert opened == run
    assert opened.final == run.final
    report = opened.run_folder.report
    report.unlink()
    assert opened.report() == report
    assert "<!doctype html>" in report.read_text("utf-8")
    files = opened.export(str(tmp_path / "net"), ExportOptions(("source",)))
    assert {file.name for file in files} >= {"architecture.json", "model.py", "weights.safetensors"}
    with pytest.raises(ConfigError, match="not an empty folder"):
        opened.export(tmp_path / "net")


def test_a_run_that_was_broken_off_has_no_result_and_goes_on(inline: None, tmp_path: Path) -> None:
    with pytest.raises(Crash):
        run_search(name="broken", progress=crash_at(2))
    run = open_run("broken")
    assert (run.state, run.final, run.winner) == ("interrupted", None, None)
    assert [trial.state for trial in run.trials][:2] == ["done", "done"]
    with pytest.raises(RunError, match="has no winner yet; continue it with `nas resume broken`"):
        run.export(tmp_path / "net")
    progress = Quiet()
    assert resume("broken", progress=progress).state == "done"
    assert progress.events > 0
    assert run.winner is not None


def test_errors_are_those_of_the_command_line(inline: None) -> None:
    with pytest.raises(RunError, match="there is no run 'nowhere'"):
        open_run("nowhere")
    with pytest.raises(RunError, match="there is no run 'nowhere'"):
        resume("nowhere")
    run_search(name="mine")
    with pytest.raises(RunError, match="run 'mine' exists already"):
        run_search(name="mine")


def test_classes_and_overrides_go_to_the_config(inline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def load(*arguments: Any, **components: Any) -> Any:
        calls.append((arguments, components))
        return toy()

    monkeypatch.setattr(run_module, "load", load)
    run_search("toy.toml", space=Mlp, controller="random", overrides=["a=1"])
    [((source, overrides), components)] = calls
    assert (source, overrides, components["controller"]) == ("toy.toml", ["a=1"], "random")
    assert isinstance(components["space"], str)
