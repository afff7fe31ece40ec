"""What numbers are computed with, and on."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from . import __version__

CONTAINER = Path("/sys/fs/cgroup/memory.max")
"""The limit of a container's memory on Linux (cgroup version 2)."""


def versions() -> dict[str, str]:
    """The versions that a number depends on."""
    return {"adaptnas": __version__, "torch": version("torch"), "python": platform.python_version()}


def memory_bytes() -> int:
    """The memory that there is for all processes together, in bytes: the machine's, or a container's share of it."""
    try:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (ValueError, OSError, AttributeError):  # a system that does not say
        sizes = [sys.maxsize]
    with suppress(ValueError, OSError):  # no container, or one without a limit ('max')
        sizes.append(int(CONTAINER.read_text("ascii")))
    return min(sizes)


def processor() -> str:
    """The processor's name; Python's own `platform` does not know it on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
