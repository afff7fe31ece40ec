"""Relative paths of a config: from the working directory, else beside the config file, and which one was taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import TOY, Said, command_here, in_this_process  # noqa: F401  # fixtures

from nas.config import reading
from nas.config.optimizer_training import load_trainer
from nas.errors import ConfigError, NasError

SPACE = """
from nas.search_spaces.plain.mlp import Mlp

class Mine(Mlp):
    name = "mine"
"""
CONTROLLER = """
from nas.controllers.random_search import RandomSearch

class Own(RandomSearch):
    pass
"""
CONFIG = TOY.replace('name = "mlp"\n', 'name = "sub/space.py:Mine"\n').replace("final]", "final]\n")
SERIES = '[space]\nname = "mlp"\n[tasks]\nname = "sequences"\npath = "data/series.npz"\n[evaluator]\nlearner = "anil"\n'


@pytest.fixture(autouse=True, name="study")
def two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `study` with a config and all that it names, in the working directory, which has none of it."""
    study = tmp_path / "study"
    (study / "sub").mkdir(parents=True)
    (study / "data").mkdir()
    (study / "data" / "series.npz").touch()
    (study / "sub" / "space.py").write_text(SPACE)
    (study / "own.py").write_text(CONTROLLER)
    (study / "own.toml").write_text(CONFIG)
    (study / "series.toml").write_text(SERIES)
    monkeypatch.chdir(tmp_path)
    return study


def loaded(source: str, *overrides: str, **names: str) -> tuple[Any, list[str]]:
    notes: list[str] = []
    return reading.load(source, list(overrides), note=notes.append, **names), notes


def test_a_file_beside_the_config_is_taken_and_said(study: Path) -> None:
    config, notes = loaded("study/own.toml")
    file = study / "sub" / "space.py"
    assert config.space.name == f"{file}:Mine"
    assert notes == [f"space.name: {file} is taken, which is beside the config"]
    config, notes = loaded("study/series.toml")
    assert config.tasks.options["path"] == str(study / "data" / "series.npz")
    assert notes == [f"tasks.path: {study / 'data' / 'series.npz'} is taken, which is beside the config"]


def test_the_working_directory_comes_first_and_that_is_said(study: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "space.py").write_text(SPACE)
    config, notes = loaded("study/own.toml")
    here, beside = tmp_path / "sub" / "space.py", study / "sub" / "space.py"
    assert config.space.name == f"{here}:Mine"
    assert notes == [f"space.name: {here} is taken, and not {beside}, which is beside the config"]


def test_nothing_is_said_where_the_two_folders_are_one(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)
    config, notes = loaded("own.toml")
    assert (config.space.name, notes) == (f"{study / 'sub' / 'space.py'}:Mine", [])
    assert loaded("../study/own.toml")[1] == []


@pytest.mark.parametrize(("name", "key", "line"), [("sub/space.py", "own", 3), ("data/series.npz", "series", 5)])
def test_a_missing_file_is_named_in_both_places(study: Path, tmp_path: Path, name: str, key: str, line: int) -> None:
    (study / name).unlink()
    with pytest.raises(ConfigError) as refused:
        loaded(f"study/{key}.toml")
    assert str(refused.value).startswith(f"study/{key}.toml:{line}: there is no file or folder {name!r}, ")
    assert f"neither as {tmp_path / name} nor, beside the config, as {study / name}; " in str(refused.value)


def test_paths_of_the_command_line_are_those_of_the_working_directory(study: Path, tmp_path: Path) -> None:
    config, notes = loaded("study/series.toml", "tasks.path=data/series.npz")
    assert (config.tasks.options["path"], notes) == (str(tmp_path / "data" / "series.npz"), [])
    with pytest.raises(ConfigError, match=f"^--set space.name: there is no file '{tmp_path}/sub/space.py'"):
        loaded("study/own.toml", "space.name=sub/space.py:Mine")
    with pytest.raises(ConfigError, match=f"^--controller: there is no file '{tmp_path}/own.py'"):
        loaded("study/own.toml", controller="own.py:Own")


def test_a_folder_that_is_to_be_downloaded_need_not_be_there(tmp_path: Path, study: Path) -> None:
    text = SERIES.replace("sequences", "omniglot").replace('npz"', 'folder"\ndownload = true')
    (study / "series.toml").write_text(text)
    assert loaded("study/series.toml")[0].tasks.options["path"] == str(tmp_path / "data" / "series.folder")


def test_each_kind_of_component_is_looked_for(study: Path) -> None:
    (study / "all.toml").write_text(
        CONFIG.replace('name = "evolution"\npopulation = 2\ntournament = 1\n', 'name = "own.py:Own"\n').replace(
            'baseline = "mlp40"',
            'baseline = "sub/space.py:Mine"\n[compare.one]\nname = "own.py:Own"\n[compare."own.py:Own"]\n',
        )
    )
    config, notes = loaded("study/all.toml", "final.baseline={name='mlp40'}")
    assert config.controller.name == config.compare["one"].name == f"{study / 'own.py'}:Own"
    assert config.compare["own.py:Own"].name == config.controller.name
    assert sorted(note.partition(" is taken")[0].partition(": ")[0] for note in notes) == [
        "compare.one.name",
        "compare.own.py:Own.name",
        "controller.name",
        "space.name",
    ]


def test_a_training_of_an_optimizer_looks_beside_its_config_too(study: Path, tmp_path: Path) -> None:
    (study / "train.toml").write_text('[training]\ninitial = "first"\n')
    with pytest.raises(ConfigError, match=r"train\.toml:2: there is no file or folder 'first', neither as "):
        load_trainer("study/train.toml")
    with pytest.raises(NasError, match=f"^{tmp_path}/first is no folder of a learned optimizer"):
        load_trainer("study/train.toml", ["training.initial=first"])


def test_escapes_that_made_a_path_of_windows_another_are_said(study: Path) -> None:
    (study / "series.toml").write_text(SERIES.replace("data/series.npz", "C:\\temp\\new.npz"))
    with pytest.raises(
        ConfigError, match=r"series\.toml:5: the path 'C:\\temp\\new\.npz' holds a tab or another control"
    ):
        loaded("study/series.toml")


@pytest.mark.usefixtures("inline")
def test_a_run_is_resumed_from_another_folder(
    study: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = call("search", "study/own.toml", "--name", "a", "--json", "--set", "search.trials=2")
    assert said.status == 0
    assert f"nas: space.name: {study / 'sub' / 'space.py'} is taken, which is beside the config\n" in said.err
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    said = call("resume", "a", "--trials", "3", "--quiet")
    assert (said.status, said.err.count("is taken")) == (0, 0)
