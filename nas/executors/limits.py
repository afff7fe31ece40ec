"""Limits on the memory of worker processes."""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..provenance import memory_bytes

SHARE = 0.9
"""Share of the machine's memory that a worker may take by default. A candidate that takes more fits no such machine."""
OOM_SCORE = "500"
"""Preference of a worker when the kernel ends a process for lack of memory, from -1000 to 1000; usual ones have 0."""


@dataclass(frozen=True)
class MemoryLimits:
    """Limits on the memory of each worker process.

    Attributes:
        host_gb: Memory of the process in GB, above 0; inf for no limit.
        gpu_gb: Memory of each GPU that the process may take through torch, in GB, above 0; inf for no limit.
    """

    host_gb: float = math.inf
    gpu_gb: float = math.inf


NO_LIMITS = MemoryLimits()


def memory_limits(host_gb: float | Literal["auto"], gpu_gb: float) -> MemoryLimits:
    """The limits that a config gives.

    Args:
        host_gb: 'auto' for SHARE of the memory of this machine or of its container; 0 for none.
        gpu_gb: 0 for none.
    """
    if host_gb == "auto":
        host_gb = SHARE * memory_bytes() / 1e9
    return MemoryLimits(host_gb or math.inf, gpu_gb or math.inf)


def limit_memory(host_gb: float) -> None:
    """Limits the memory of this process, and has the kernel prefer it where one must be ended.

    The limit is on private memory that may be written (RLIMIT_DATA), which is what tensors take. The address space
    (RLIMIT_AS) would count libraries and what CUDA only reserves. A system without such a limit has none.
    """
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    if host_gb < math.inf and sys.platform != "win32":
        import resource

        size = int(host_gb * 1e9)
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        with suppress(OSError, ValueError):
            if most == resource.RLIM_INFINITY or size < most:
                resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def limit_gpu_memory(gpu_gb: float) -> None:
    """Limits what this process may take of each GPU that it sees through torch; nothing where there is none."""
    if gpu_gb == math.inf or "torch" not in sys.modules:
        return
    import torch

    for device in range(torch.cuda.device_count()):
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpu_gb * 1e9 / total), device)
