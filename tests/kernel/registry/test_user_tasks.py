"""Task families and learners in users' files, named FILE.py:NAME: search, check, and changes of the file."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from helpers.cli import command_here, in_this_process  # noqa: F401  # fixtures
from helpers.project import ROOT, needs_checkout

from nas import config as configs
from nas import registry
from nas.checks import component_report
from nas.errors import ConfigError
from nas.registry import components

DOCUMENT = ROOT / "docs" / "how-to" / "your-own-tasks.md"
pytestmark = needs_checkout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the document."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, text in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL):
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def changed(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text("utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), "utf-8")


def test_kinds_are_told_apart(folder):
    rooms = {name: components.room_of(name) for name in ("ripples.py:Ripples", "shift.py:Shift", "maml", "glyphs")}
    assert rooms == {"ripples.py:Ripples": "tasks", "shift.py:Shift": "learner", "maml": "learner", "glyphs": "tasks"}
    assert [components.room_of(name) for name in ("evolution", "mlp", "nothing")] == ["controller", "space", "space"]


def test_a_config_has_the_files_with_absolute_paths_and_their_texts(folder):
    config = configs.load("ripples.toml", [])
    assert config.tasks.name == f"{folder}/ripples.py:Ripples"
    assert config.evaluator.learner == f"{folder}/shift.py:Shift"
    assert sorted(config.files) == [f"{folder}/ripples.py", f"{folder}/shift.py"]
    table = configs.load("ripples.toml", ['evaluator.learner={name="shift.py:Shift", outer_lr=0.1}'])
    assert table.evaluator.learner.name == f"{folder}/shift.py:Shift"
    assert f"{folder}/shift.py" in table.files


@pytest.mark.usefixtures("inline")
def test_a_run_with_a_changed_family_or_learner_is_not_continued(folder, call):
    said = call("search", "ripples.toml", "--name", "mine", "--set", "search.trials=1")
    assert said.status == 0, said.err
    assert f"{folder}" not in said.out.splitlines()[0]
    for name, old, new in (("ripples.py", "3.0", "2.5"), ("shift.py", "1e-3", "1e-2")):
        before = (folder / name).read_text("utf-8")
        changed(folder, name, old, new)
        said = call("resume", "mine")
        assert said.status == 2
        assert f"{name} has changed since this run was started" in said.err
        (folder / name).write_text(before, "utf-8")


@pytest.mark.parametrize(
    "name, old, new, message",
    [
        ("ripples.py:Ripples", "3 * int(index) + stream", "stream", "tasks 3 and 7 are the same"),
        ("ripples.py:Ripples", "int(index) + stream", "int(index)", "the same in the splits"),
        ("shift.py:Shift", "[after] * steps", "[after] * 3", r"must be \(steps \+ 1, tasks, queries, outputs\)"),
        ("shift.py:Shift", "missed.mean(dim=1, keepdim=True)", "missed.mean()", "must not see each other"),
        ("shift.py:Shift", "return value, gradients", "return value, {}", "no gradient of the parameter"),
    ],
)
def test_check_names_the_broken_law(folder, name, old, new, message):
    changed(folder, name.partition(":")[0], old, new)
    with pytest.raises((AssertionError, KeyError), match=message):
        component_report.examine(components.room_of(name), name)


def test_the_command_says_what_is_sound_and_what_is_not(folder, call):
    said = call("check", "ripples.py:Ripples")
    assert said.status == 0, said.err
    assert "ripples.py:Ripples: sound." in said.out
    component_report.examine("learner", "shift.py:Shift")
    changed(folder, "shift.py", "return value, gradients", "raise KeyError('x')")
    said = call("check", "shift.py:Shift")
    assert said.status == 2
    assert "learner shift.py:Shift is not sound: KeyError: 'x' (shift.py:" in said.err


def test_a_class_without_the_methods_is_refused(folder):
    changed(folder, "ripples.py", "def describe", "def description")
    with pytest.raises(ConfigError, match=r"Ripples of ripples.py is no task family: it has no method 'describe'"):
        registry.find("tasks", "ripples.py:Ripples")
    with pytest.raises(ConfigError, match="no class 'Ripple'"):
        registry.find("learner", "ripples.py:Ripple")


def test_the_list_says_the_form(call):
    for room in ("tasks", "learners"):
        assert "FILE.py:NAME" in call("list", room).out
