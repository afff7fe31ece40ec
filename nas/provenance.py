"""Provenance of numbers: versions of software, memory and processor of the machine."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from . import __version__

CONTAINER = Path("/sys/fs/cgroup/memory.max")
"""File with the limit of a container's memory in bytes on Linux (cgroup version 2)."""


def versions() -> dict[str, str]:
    """Versions of adaptnas, torch and Python, by name."""
    return {"adaptnas": __version__, "torch": version("torch"), "python": platform.python_version()}


def memory_bytes() -> int:
    """Memory for all processes together, in bytes: the machine's, or the limit of its container."""
    try:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (ValueError, OSError, AttributeError):  # a system that does not say
        sizes = [sys.maxsize]
    with suppress(ValueError, OSError):  # no container, or one without a limit ('max')
        sizes.append(int(CONTAINER.read_text("ascii")))
    return min(sizes)


def processor() -> str:
    """The processor's name. On Linux it is read from /proc, since Python's `platform` does not give it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
