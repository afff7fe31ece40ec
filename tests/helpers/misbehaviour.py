"""Calls that misbehave. They import torch where they need it, so that a new worker for the others begins quickly."""

from __future__ import annotations

import builtins
import os
import random
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any


def surroundings() -> dict[str, Any]:
    """What a call sees of its process, with the random numbers that it would draw."""
    import torch

    mask = os.umask(0)
    os.umask(mask)
    return {
        "folder": os.getcwd(),
        "umask": mask,
        "environment": dict(os.environ),
        "signal": signal.getsignal(signal.SIGTERM),
        "filters": [str(entry) for entry in warnings.filters],
        "path": list(sys.path),
        "drawn": (random.random(), torch.rand(2).tolist()),
        "torch": (
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            float(torch.nn.functional.relu(torch.tensor(-1.0))),
            (torch.tensor(1e-40) * 1.0).item() == 0.0,
        ),
        "process": os.getpid(),
    }


def change_what_can_be_undone() -> int:
    import torch

    os.chdir("/")
    os.umask(0)
    os.environ["NAS_LEFT"] = "x"
    del os.environ["PATH"]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 1000)
    warnings.resetwarnings()
    sys.path.insert(0, "/nowhere")
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_num_threads(3)
    torch.set_grad_enabled(False)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("medium")
    torch.set_flush_denormal(True)
    torch.nn.functional.relu = torch.sigmoid
    random.seed(5)
    return os.getpid()


def lower_priority() -> int:
    os.nice(1)
    return os.getpid()


def start_thread() -> int:
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    return os.getpid()


def enter_mode() -> int:
    import torch

    mode = vars(builtins)["mode"] = torch.inference_mode()
    mode.__enter__()
    return os.getpid()


def leave_process() -> tuple[int, int]:
    """Leaves a process in a session of its own, whose parent has ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, f"{os.getpid()}".encode())
            os.execvp("sleep", ["sleep", "1000"])
        os._exit(0)
    os.waitpid(child, 0)
    left = int(os.read(reader, 100))
    os.close(reader)
    os.close(writer)
    return os.getpid(), left


def leave_process_and_die(file: str) -> None:
    Path(file).write_text(str(leave_process()[1]))
    os.kill(os.getpid(), signal.SIGKILL)


class Holding:
    """Keeps files open: with the first call as many as later ones."""

    def hold(self) -> int:
        held = vars(builtins).setdefault("held", [])
        held.append(os.open(__file__, os.O_RDONLY))
        return os.getpid()


def close_all() -> None:
    os.closerange(0, 1000)


def write_to_all() -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.write(int(name), b"\0" * 1000)
            except OSError:
                continue


def take(gigabytes: float) -> int:
    return len(bytearray(int(gigabytes * 1e9)))


def take_tensor(gigabytes: float) -> int:
    import torch

    return len(torch.ones(int(gigabytes * 1e9), dtype=torch.uint8))


def die(_gigabytes: float) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def small(_gigabytes: float) -> str:
    return "small"


def say(megabytes: int) -> None:
    os.write(2, b"begin ")
    for _ in range(megabytes):
        os.write(1, b"x" * 1_000_000)
    os.write(1, b" end")
