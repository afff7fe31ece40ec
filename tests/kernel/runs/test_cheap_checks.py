"""Checks that come before any worker starts, and what is said while slower ones run."""

from __future__ import annotations

import threading

import pytest

from nas.cli import progress as cli_progress
from nas.cli.progress import TerminalProgress
from nas.config import from_json
from nas.errors import NasError
from nas.runs import launch
from nas.runs.folder import run_of
from nas.runs.progress import Silence


def config_with(**tasks):
    return from_json({"space": {"name": "mlp"}, "tasks": tasks, "final": {"baseline": "mlp40"}})


@pytest.fixture(autouse=True)
def no_worker(tmp_path, monkeypatch):
    """A worker must not be started."""
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(launch, "_executor_of", lambda *_: pytest.fail("a worker would be started"))


@pytest.mark.parametrize("name", ["arrays", "image-folder", "omniglot", "sequences"])
def test_data_that_are_not_there_are_missed_before_a_worker_starts(tmp_path, name):
    options = {"label": "a"} if name == "arrays" else {}
    config = config_with(name=name, path=str(tmp_path / "none.npz"), **options)
    with pytest.raises(NasError, match=r"none\.npz does not exist; correct the path in the config"):
        launch.start(config, run_of("a"), Silence())


@pytest.mark.parametrize("name", ["arrays", "image-folder", "omniglot"])
def test_a_path_that_is_not_given_is_missed_before_a_worker_starts(name):
    options = {"label": "a"} if name == "arrays" else {}
    with pytest.raises(NasError, match=r"(needs path|path is not set)"):
        launch.start(config_with(name=name, **options), run_of("a"), Silence())


def test_data_that_are_to_be_downloaded_need_not_be_there(tmp_path):
    config = config_with(name="omniglot", path=str(tmp_path / "later"), download=True)
    with pytest.raises(pytest.fail.Exception, match="a worker would be started"):
        launch.start(config, run_of("a"), Silence())


def test_a_check_is_named_once_it_takes_long(monkeypatch):
    monkeypatch.setattr(cli_progress, "SAY_AFTER_S", 0.0)
    with TerminalProgress().shown() as progress:
        said = threading.Event()
        monkeypatch.setattr(progress, "_say", lambda text: (lines.append(text), said.set()))
        lines: list[str] = []
        progress.checking("the data")
        assert said.wait(10)
    assert lines == ["checking the data …"]


def test_a_check_that_is_quick_is_not_named(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(cli_progress, "SAY_AFTER_S", 1000.0)
    with TerminalProgress().shown() as progress:
        monkeypatch.setattr(progress, "_say", lines.append)
        progress.checking("the data")
        progress.checking("the space")
    assert lines == []
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
