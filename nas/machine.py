"""What numbers are computed with, and on."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from . import __version__


def versions() -> dict[str, str]:
    """The versions that a number depends on."""
    return {"adaptnas": __version__, "torch": version("torch"), "python": platform.python_version()}


def processor() -> str:
    """The processor's name; Python's own `platform` does not know it on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
