"""Paths and modules of the project, overrides for searches of seconds, and fresh Python processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("nas", "search_spaces", "controllers", "evaluators", "experiments")
SIBLINGS = FOLDERS[1:]
"""The four folders beside `nas` at the root, which are imported as nas.<folder>."""

needs_checkout = pytest.mark.skipif(
    not (ROOT / "setup.cfg").exists(), reason="looks at the files of a checkout, and the tests are not in one"
)

TOY = (
    "search.trials=3",
    "search.workers=1",
    "evaluator.budget=2",
    "evaluator.validation_tasks=4",
    "final.top=1",
    "final.seeds=2",
    "final.budget=2",
    "final.validation_tasks=4",
    "final.tasks=4",
)
"""Overrides that make any config's search end in seconds."""
TOY_OPTIONS = [word for override in TOY for word in ("--set", override)]


def source_files() -> list[Path]:
    """Every module of the package, each once: the links in nas/ are not followed."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if not _linked(path))


def module_name(path: Path) -> str:
    """The name that a module of `source_files` is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([*(["nas"] if parts[0] in SIBLINGS else []), *parts]).removesuffix(".__init__")


def run(command: Sequence[str | Path], folder: Path, *, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder, without this process's settings for Python and for runs, whatever its exit status.

    It runs on one thread: at toy size, threads that wait for each other on a busy machine take many times as long.
    """
    dropped = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV", "NAS_RUNS")
    environment = {name: value for name, value in os.environ.items() if name not in dropped} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s
    )


def python(arguments: Sequence[str | Path], folder: Path) -> str:
    """Standard output of a fresh Python process; the test fails with its output if the process does."""
    ended = run([sys.executable, *arguments], folder)
    assert ended.returncode == 0, f"{arguments} ended with {ended.returncode}:\n{ended.stderr}\n{ended.stdout}"
    return ended.stdout


def _linked(path: Path) -> bool:
    return any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(ROOT))
