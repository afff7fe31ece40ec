"""Folders that the project writes to."""

from __future__ import annotations

import os
from pathlib import Path


def runs_folder() -> Path:
    """`runs` in the current folder, or what the environment variable NAS_RUNS says."""
    return Path(os.environ.get("NAS_RUNS") or "runs")
