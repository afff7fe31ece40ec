"""Runs as the first version of this project wrote them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

RUNS = Path(__file__).parents[1] / "data" / "first_format"


def copy_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies a finished run, `complete`, and one without a result, `unfinished`, to a folder that becomes NAS_RUNS."""
    for name in ("complete", "unfinished"):
        shutil.copytree(RUNS / name, folder / name)
    monkeypatch.setenv("NAS_RUNS", str(folder))
