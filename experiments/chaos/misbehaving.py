"""Candidates that misbehave in every way that was thought of, each followed by an honest one."""

from __future__ import annotations

import builtins
import ctypes
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import nn

from nas.architecture import Architecture
from nas.choose import Choose
from nas.task import TaskShape
from nas.trial import Score, Trial

DEADLINE_S = 60.0
"""Longest time of a candidate in the experiment, in seconds; an honest one takes some milliseconds."""
SHORT_S = 0.3
"""Longest time of those that never end."""
MEMORY_GB = 2.0
PRINTED_MB = 1000
HONEST = "honest"
SLEEP = ("sleep", "1000000")
"""A program that only the end of its worker ends."""


def honest_score() -> float:
    """A number from a short training, which shows whether an earlier candidate has left something."""
    torch.manual_seed(0)  # as candidates of users do
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.linspace(-1, 1, 64).reshape(16, 4)
    for _ in range(5):
        loss = (network(x) - x.sum(dim=1, keepdim=True)).square().mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter.sub_(gradient, alpha=0.1)
    return float(loss.detach().double()) + random.random() + torch.rand(()).item() + len(os.getcwd())


def _raises() -> NoReturn:
    raise ValueError("the candidate raises")


def _wrong_shape() -> float:
    return float(nn.Linear(3, 2)(torch.zeros(1, 4)).sum())


def _memory() -> float:
    return float(torch.ones(int(MEMORY_GB * 1e9)).sum())


def _loop() -> NoReturn:
    while True:
        pass


def _sleep() -> float:
    time.sleep(1e6)
    return 0.0


def _segmentation_fault() -> float:
    return float(len(ctypes.string_at(0)))


def _exit() -> NoReturn:
    os._exit(0)


def _kill() -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def _grandchild() -> float:
    """Leaves a process in a session of its own, whose parent has ended."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp(SLEEP[0], SLEEP)
        os._exit(0)
    os.waitpid(child, 0)
    return 1.0


def _grandchild_and_kill() -> float:
    _grandchild()
    subprocess.Popen(SLEEP)
    return _kill()


def leave_and_sleep() -> float:
    """Leaves a process in a session of its own, and never ends."""
    _grandchild()
    return _sleep()


def _prints() -> float:
    megabyte = b"x" * 999_999 + b"\n"
    for _ in range(PRINTED_MB):
        os.write(1, megabyte)
    return 1.0


def _changes_state() -> float:
    os.chdir("/")
    os.umask(0)
    os.environ["HOME"] = "/nowhere"
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(3)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.nn.functional.relu = torch.sigmoid  # type: ignore[assignment]
    random.seed(5)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    sys.path.insert(0, "/nowhere")
    return 1.0


def _changes_more() -> float:
    """Changes what cannot be undone: a thread that runs, files that are held open, a lower priority."""
    threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
    vars(builtins)["held"] = [os.open(__file__, os.O_RDONLY) for _ in range(100)]
    os.nice(1)
    return 1.0


def _closes_all() -> float:
    os.closerange(0, 1000)
    return 1.0


def _writes_to_all() -> float:
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor > 2:
            try:
                os.write(descriptor, b"\0" * 100)
            except OSError:
                continue
    return 1.0


KINDS: dict[str, tuple[Callable[[], float], str]] = {
    "raises an error": (_raises, "ValueError: the candidate raises"),
    "gives NaN": (lambda: math.nan, "NasError: the score is nan"),
    "gives infinity": (lambda: math.inf, "NasError: the score is inf"),
    "has a wrong shape": (_wrong_shape, "RuntimeError: mat1 and mat2 shapes"),
    "takes all memory": (_memory, "OutOfMemory: out of memory"),
    "loops": (_loop, "WorkerError: no answer after"),
    "sleeps": (_sleep, "WorkerError: no answer after"),
    "has a segmentation fault": (_segmentation_fault, "WorkerError: worker ended with signal 11 (SIGSEGV)"),
    "exits with status 0": (_exit, "WorkerError: worker ended with exit status 0"),
    "kills itself": (_kill, "WorkerError: worker ended with signal 9 (SIGKILL"),
    "leaves a process in another session": (_grandchild, ""),
    "leaves processes and kills itself": (_grandchild_and_kill, "WorkerError: worker ended with signal 9 (SIGKILL"),
    "prints a gigabyte": (_prints, ""),
    "changes its process": (_changes_state, ""),
    "changes what cannot be undone": (_changes_more, ""),
    "closes all descriptors": (_closes_all, "WorkerError: worker ended with exit status 75"),
    "writes to all descriptors": (_writes_to_all, "WorkerError: the message of a worker is damaged"),
}
"""What a candidate does, and how the reason of its failure begins; empty for those that get a score."""

ENDLESS = ("loops", "sleeps")


class Candidates:
    """Search space of the candidates: what each does, and its number among those that do the same."""

    name = "candidates"

    def decide(self, choose: Choose) -> tuple[str, int]:
        return choose("kind", [HONEST, *KINDS]), choose("number", list(range(10_000)))

    def build(self, spec: tuple[str, int], task: TaskShape) -> nn.Module:
        raise NotImplementedError


class InTurns:
    """Controller that proposes each misbehaving candidate, and after each an honest one.

    Args:
        count: Candidates of each kind.
    """

    def __init__(self, count: int) -> None:
        pairs = [(kind, 1 + i) for i in range(count) for kind in range(len(KINDS))]
        self._left = [Architecture("candidates", {"kind": 0, "number": 9_999})]
        for place, (kind, number) in enumerate(pairs):
            self._left.append(Architecture("candidates", {"kind": 1 + kind, "number": number}))
            self._left.append(Architecture("candidates", {"kind": 0, "number": place}))

    def ask(self, n: int) -> list[Architecture]:
        asked, self._left = self._left[:n], self._left[n:]
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learns nothing."""


@dataclass(frozen=True)
class Misbehaving:
    """Evaluator that does what the candidate's kind is."""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        """The score; of an honest candidate that of its short training."""
        kind = kind_of(architecture)
        return Score(honest_score() if kind == HONEST else KINDS[kind][0](), 0.0)


def kind_of(architecture: Architecture) -> str:
    """What a candidate does."""
    return [HONEST, *KINDS][architecture.picks["kind"]]


@dataclass(frozen=True)
class Clocked:
    """A call that says when it begins, in a worker with all that an evaluator needs.

    Attributes:
        evaluator: The evaluator, which travels with the call.
    """

    evaluator: Any

    def begins(self) -> float:
        """The time by the monotonic clock, which all processes share."""
        return time.monotonic()
