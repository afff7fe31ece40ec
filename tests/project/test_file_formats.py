"""The page of file formats: a run, its export and its predictor hold exactly the files that it names."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import command_here, in_this_process  # noqa: F401  # fixtures
from helpers.project import ROOT, TOY_OPTIONS, needs_checkout

import nas
from nas.augmentation_policy import VERSION as POLICY_VERSION
from nas.export import checksums, form, stage_two, writing
from nas.export import graph_json as network_json
from nas.export.standalone import adapt as standalone
from nas.store import sqlite_file, sqlite_store

pytestmark = needs_checkout

PAGE = ROOT / "docs" / "reference" / "file-formats.md"
ALL_KINDS = ["--set", "search.fidelity.rungs=2", "--set", "search.fidelity.eta=2", "--set", "search.control=random"]
"""Overrides with which a run has every kind of file."""
VARYING = {"KEY": "[0-9a-f]" * 16, "seedN": "seed[0-9]*"}
"""Parts of names on the page, as patterns."""


def named(section: str) -> dict[str, bool]:
    """Patterns of the files in the table of a section, each with whether the file is always there."""
    text = PAGE.read_text("utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    files = {}
    for names, when in re.findall(r"^\| (`[^|]*`) \| ([^|]*) \|.*\|$", text, flags=re.MULTILINE):
        for name in re.findall(r"`([^`]*)`", names):
            for part, pattern in VARYING.items():
                name = name.replace(part, pattern)
            files[name] = when == "always"
    return files


def check(section: str, folder: Path) -> None:
    patterns = named(section)
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert found
    assert [name for name in found if not any(fnmatchcase(name, pattern) for pattern in patterns)] == []
    needed = [pattern for pattern, always in patterns.items() if always]
    assert [pattern for pattern in needed if not any(fnmatchcase(name, pattern) for name in found)] == []


@pytest.mark.usefixtures("inline")
def test_folders_hold_the_files_that_the_page_names(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call("search", "quickstart", "--name", "toy", *TOY_OPTIONS, *ALL_KINDS)
    assert ended.status == 0, ended.err
    assert call("export", "toy", "--out", "net").status == 0
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    nas.load("net").fit(images, ["a", "b", "a", "b"]).save("predictor")
    check("Folder of a run", Path("runs/toy"))
    check("Export", Path("net"))
    check("Predictor", Path("predictor"))


def test_the_page_names_the_files_of_every_kind_of_export():
    pictures = {"cell.dot", "cell.png", "cell.svg"}
    written = {writing.ARCHITECTURE, writing.WEIGHTS, writing.LEARNED, writing.NETWORK, writing.MODEL_ONNX}
    written |= {writing.PRETRAINED, form.MODEL, form.PROGRAM, checksums.SUMS, "card.md", *pictures}
    written |= {*stage_two.SOURCES, stage_two.RULE, stage_two.LEARNED, stage_two.PREPROCESSING}
    assert named("Export").keys() == written
    assert {*standalone.FILES, standalone.PREDICTOR, standalone.STATE} < named("Predictor").keys()


def test_the_page_has_the_versions():
    text = PAGE.read_text("utf-8")
    assert f"its schema: {sqlite_store.SCHEMA}." in text
    assert f"0x{sqlite_file.APPLICATION:X}" in text
    assert {writing.FORMAT, stage_two.FORMAT, standalone.FORMAT, network_json.FORMAT} == {1}
    assert POLICY_VERSION == 1
    assert "format 1: " in text
