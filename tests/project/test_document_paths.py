"""Paths that documents name: each is a file or folder of the project."""

from __future__ import annotations

import re

import pytest
from helpers.project import FOLDERS, ROOT, needs_checkout

PATH = re.compile(rf"`((?:{'|'.join((*FOLDERS, 'tests', 'docs'))})/[\w./-]*)`")
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs", "experiments/results/README.md")


def documents() -> list[str]:
    paths = [ROOT / name for name in DOCUMENTS]
    files = [file for path in paths for file in (sorted(path.rglob("*.md")) if path.is_dir() else [path])]
    return [file.relative_to(ROOT).as_posix() for file in files]


@needs_checkout
@pytest.mark.parametrize("document", documents())
def test_paths_exist(document: str) -> None:
    named = set(PATH.findall((ROOT / document).read_text("utf-8")))
    assert [path for path in sorted(named) if "NAME" not in path and not (ROOT / path).exists()] == []


@needs_checkout
def test_the_table_for_newcomers_names_fifteen_places() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ") and "? |" in row]
    assert len(rows) >= 15
    assert all(PATH.search(row.partition("? |")[2]) for row in rows)
