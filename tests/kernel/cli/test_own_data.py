"""`nas init` and `nas tasks` on the command line, and the demonstration that uses them."""

from __future__ import annotations

import json

import pytest
from helpers.images import write_classes
from PIL import Image
from typer.testing import CliRunner

from nas.checks.task_report import report_of
from nas.cli.commands import app
from nas.errors import ConfigError
from nas.registry import components
from nas.report.contact_sheet import write_sheet

FAMILIES = ["glyphs", "sequences", "sinusoid", "system-identification"]


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_RUNS", str(tmp_path / "runs"))
    return write_classes(tmp_path / "leaves", [f"kind {n}" for n in range(20)], images=6)


def test_a_folder_is_looked_at_and_its_tasks_are_shown(folder, tmp_path):
    (folder / "kind 3" / "broken.png").write_bytes(b"no image")
    result = run("init", "leaves")
    assert result.exit_code == 0
    assert "20 classes" in result.stdout
    assert "Next: nas tasks leaves.toml · nas search leaves.toml" in result.stdout
    result = run("tasks", "leaves.toml")
    assert "image-folder: 5-way classification" in result.stdout
    assert "warning: 1 files were left out" in result.stdout
    with Image.open(tmp_path / "leaves-task.png") as picture:
        assert picture.size[0] > 200
    document = json.loads(run("tasks", "leaves.toml", "--json", "--out", "again.png").stdout)
    assert sum(split["classes"] for split in document["splits"]) == 20
    assert min(split["classes"] for split in document["splits"]) >= 5
    assert document["picture"] == "again.png"


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_report_and_a_picture(name, tmp_path):
    family = components.create("tasks", name, {})
    report = report_of(family)
    assert report.input_shape == family.shape.input_shape
    assert report.task_ms > 0
    assert name in report.text()
    write_sheet(family, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    with pytest.raises(ConfigError, match="exists"):
        write_sheet(family, tmp_path / "sheet.png")
