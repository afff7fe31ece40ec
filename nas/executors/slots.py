"""Number of worker processes, and the GPU that each of them sees."""

from __future__ import annotations

import os
from typing import Literal

from ..errors import ConfigError

WORKERS_PER_GPU = 4
"""Few-shot networks are small: launching their kernels takes longer than running them, so workers can share a GPU."""


def slots(workers: int | Literal["auto"], device: str) -> list[dict[str, str]]:
    """Environment variables of each worker process, for ProcessExecutor.

    Args:
        workers: Number of workers; 'auto' is `default_workers`.
        device: 'cpu'; 'cuda': all GPUs, assigned in turn; 'cuda:1': the evaluator selects that one; 'auto': GPUs where
            there are any.

    Raises:
        ConfigError: `device` is 'cuda' and there is no GPU.
    """
    gpus = _visible_gpus() if device in ("auto", "cuda") else []
    if device == "cuda" and not gpus:
        raise ConfigError("device is 'cuda' but torch sees no GPU; use device 'cpu', or install a CUDA build of torch")
    count = default_workers(len(gpus) or int(device.startswith("cuda"))) if workers == "auto" else workers
    return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else {} for i in range(count)]


def default_workers(gpus: int) -> int:
    """One worker for each processor that this process may use; with GPUs between 1 and WORKERS_PER_GPU a GPU."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(gpus, min(processors, WORKERS_PER_GPU * gpus)) if gpus else processors


def _visible_gpus() -> list[str]:
    """Names of the GPUs, as CUDA_VISIBLE_DEVICES takes them."""
    import torch

    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return named[:count] or [str(i) for i in range(count)]
