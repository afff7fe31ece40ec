"""Runs on a folder of images: a changed folder is named on resume, and bad folders end in one line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.cli import Said, command_here  # noqa: F401  # fixture
from helpers.images import noise, write_classes
from helpers.launch import Crash, crash_at, in_this_process, own_runs, toy  # noqa: F401  # fixtures
from PIL import Image

from nas import config as configs
from nas.evaluators.meta_training import bank_digest
from nas.evaluators.tasks import folder_classes, image_folder
from nas.runs import folder as runs
from nas.runs import launch
from nas.store import Store


def forget() -> None:
    """What a process keeps of data for its life."""
    folder_classes.folder_images.cache_clear()
    image_folder._data.cache_clear()
    bank_digest._digest.cache_clear()


@pytest.fixture(name="folder")
def nine_classes(tmp_path: Path) -> Path:
    forget()
    return write_classes(tmp_path / "images", [f"c{number}" for number in range(9)])


def config_of(folder: Path, **options: Any) -> configs.Config:
    tasks = {"name": "image-folder", "path": str(folder), "ways": 2, "queries": 2, **options}
    config = toy(evaluator={"learner": {"name": "anil", "inner_lr": 0.01, "steps": 1}, "norm": "none"})
    return configs.from_json({**config.to_json(), "tasks": tasks})


def broken(folder: Path) -> None:
    with pytest.raises(Crash):
        launch.start(config_of(folder), runs.run_of("a"), crash_at(2))


def change(folder: Path, kind: str) -> None:
    if kind == "added":
        write_classes(folder, ["new"], shape=(8, 8))
        Image.fromarray(noise(77)).save(folder / "new" / "000.png")
    elif kind == "removed":
        shutil.rmtree(folder / "c4")
    elif kind == "changed":
        Image.fromarray(noise(78)).save(folder / "c4" / "001.png")
    else:
        for number in range(9):
            (folder / f"c{number}" / "001.png").unlink()
    forget()


@pytest.mark.parametrize(
    "kind, words",
    [
        ("added", "classes 1 added: 'new'"),
        ("removed", "classes 1 removed: 'c4'"),
        ("changed", "classes 1 changed: 'c4'"),
        ("all", "classes 9 changed: 'c0', 'c1', 'c2' and 6 more"),
    ],
)
def test_a_changed_folder_is_refused_with_what_changed(
    inline: None, folder: Path, runs_here: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, kind, words
) -> None:
    monkeypatch.setenv("NAS_RUNS", str(runs_here))
    broken(folder)
    change(folder, kind)
    ended = call("resume", "a")
    assert (ended.status, ended.out) == (2, "")
    assert words in ended.err
    assert str(folder) in ended.err
    assert ended.err.count("\n") == 1


def test_a_folder_with_other_times_and_the_same_content_is_continued(
    inline: None, folder: Path, runs_here: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_RUNS", str(runs_here))
    broken(folder)
    for file in folder.rglob("*.png"):
        os.utime(file, ns=(1, 1))
    forget()
    assert call("resume", "a").status == 0
    with Store.open(runs.run_of("a").store_path, readonly=True) as store:
        assert sorted(store.meta[runs.INVENTORY]) == [f"c{number}" for number in range(9)]


def bad_folder(tmp_path: Path, kind: str) -> Path:
    folder = tmp_path / "bad"
    if kind == "empty":
        folder.mkdir()
    elif kind == "one class":
        write_classes(folder, ["a"])
    elif kind == "unreadable":
        write_classes(folder, ["a", "b"])
        for file in folder.rglob("*.png"):
            file.write_text("broken")
    elif kind == "not finite":
        (folder / "a").mkdir(parents=True)
        Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32)).save(folder / "a" / "x.tif")
    elif kind == "few images":
        write_classes(folder, [f"c{number}" for number in range(9)], images=2)
    elif kind == "pipe":
        folder.mkdir()
        os.mkfifo(folder / "a")
    return folder


@pytest.mark.parametrize("kind", ["missing", "empty", "one class", "unreadable", "not finite", "few images", "pipe"])
def test_a_folder_that_cannot_be_used_ends_in_one_line(
    inline: None, tmp_path: Path, runs_here: Path, call: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("NAS_RUNS", str(runs_here))
    forget()
    folder = bad_folder(tmp_path, kind)
    file = tmp_path / "c.toml"
    file.write_text(
        f'[tasks]\nname = "image-folder"\npath = "{folder}"\nways = 2\nqueries = 2\n[search]\ndevice = "cpu"\n'
        '[space]\nname = "mlp"\n[final]\nbaseline = "mlp40"\n'
    )
    ended = call("search", str(file), "--name", "b")
    assert ended.status == 2
    assert ended.err.count("\n") == 1, ended.err
    assert "bad" in ended.err
    assert not (runs_here / "b").exists()
