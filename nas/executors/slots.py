"""How many worker processes a machine is good for, and which GPU each of them sees."""

from __future__ import annotations

import os
from typing import Literal

from ..errors import ConfigError

WORKERS_PER_GPU = 4
"""Few-shot networks are small: launching kernels from Python takes longer than running them, so a GPU can be shared."""


def slots(workers: int | Literal["auto"], device: str) -> list[dict[str, str]]:
    """One environment a worker process, as ProcessExecutor wants them.

    workers  how many; 'auto' is `default_workers`
    device   'cpu'; 'cuda': all GPUs, dealt out in turn; 'cuda:1': that one, set by who uses it; 'auto': GPUs if any

    Raises ConfigError where 'cuda' is asked for and there is none.
    """
    gpus = _visible_gpus() if device in ("auto", "cuda") else []
    if device == "cuda" and not gpus:
        raise ConfigError("device is 'cuda' but torch sees no GPU; use device 'cpu', or install a CUDA build of torch")
    count = default_workers(len(gpus) or int(device.startswith("cuda"))) if workers == "auto" else workers
    return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else {} for i in range(count)]


def default_workers(gpus: int) -> int:
    """One a processor that this process may use, but no more than a few a GPU, and one a GPU at least."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(gpus, min(processors, WORKERS_PER_GPU * gpus)) if gpus else processors


def _visible_gpus() -> list[str]:
    """Their names for CUDA_VISIBLE_DEVICES."""
    import torch

    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return named[:count] or [str(i) for i in range(count)]
