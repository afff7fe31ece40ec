"""Measurement of a row of the benchmark: comparison of the contenders' gradients, then timing in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.errors import NasError
from nas.evaluators.learners import Anil

from .contenders import CONTENDERS, Gradient, installed
from .problems import Work
from .worker_processes import Worker, full_float32, peak_mib, timed

CORES = 2
"""Number of processes, or of threads of one process, on the CPU."""
TOLERANCE = {torch.float64: 1e-6, torch.float32: 0.1}
"""Largest relative distance between gradients. float32 is compared too, because it is what is timed; there the order of
a sum can switch a ReLU, which changes gradients by a hundredth."""


@dataclass(frozen=True)
class Row:
    """Measured row.

    Attributes:
        work: Name in the table.
        unit: Unit of `ours` and `peers`.
        ours: Rate of our learner, or seconds of a candidate score.
        peers: Rate of each peer; all compute MAML.
        ratio: Ours to that of the best peer as one process, with two threads on the CPU; None without peers.
        ratio_processes: Ours to that of the best peer as two processes of one thread; None on a GPU or without peers.
        floor_ratio: Our seconds to those of the arithmetic alone at the machine's matmul rate.
        gflop: That arithmetic, of a task or of a candidate score, in GFLOP.
        peak_mib: Peak memory of our processes together, in MiB.
        peers_peak_mib: That of each peer.
        not_installed: Peers that were asked for and are not installed.
    """

    work: str
    unit: Literal["tasks/s", "s"]
    ours: float
    peers: dict[str, float]
    ratio: float | None
    ratio_processes: float | None
    floor_ratio: float
    gflop: float
    peak_mib: float
    peers_peak_mib: dict[str, float]
    not_installed: list[str]


@dataclass(frozen=True)
class Effort:
    """Settings of the measurement.

    Attributes:
        device: Device of all contenders.
        seconds: Seconds of each contender in a round.
        rounds: Number of rounds.
        peers: Names of the peers.
        processes: Number of our processes, and of a peer's under "×2".
        threads: Number of threads of a peer as one process.
        gflops: The machine's matmul rate in GFLOP/s.
    """

    device: torch.device
    seconds: float
    rounds: int
    peers: tuple[str, ...]
    processes: int
    threads: int
    gflops: float


class Station:
    """Contender inside a worker process, with its own batch of tasks."""

    def __init__(self, name: str, work: Work, number: int, device: str) -> None:
        self._device, self._tasks = torch.device(device), work.tasks
        self._gradient: Gradient = CONTENDERS[name](work.problem(number, self._device))

    def run(self, seconds: float, threads: int) -> float:
        """The rate in tasks a second, over some seconds."""
        torch.set_num_threads(threads)
        times, took = timed(self._gradient, seconds, self._device)
        return times * self._tasks / took

    def peak_mib(self) -> float:
        return peak_mib(self._device)


@dataclass(frozen=True)
class Contender:
    """Contender as one or several processes that run at the same time, with `threads` threads each."""

    workers: Sequence[Worker]
    threads: int

    def tasks_per_second(self, seconds: float) -> float:
        """The rate of all processes together, over some seconds."""
        for worker in self.workers:
            worker.start("run", seconds, self.threads)
        return float(sum(worker.result() for worker in self.workers))

    def peak_mib(self) -> float:
        return float(sum(worker.call("peak_mib") for worker in self.workers))


def measure(work: Work, effort: Effort) -> Row:
    """The row of a work.

    Raises:
        NasError: Two contenders do not compute the same gradient.
    """
    peers = [name for name in effort.peers if installed(name)]
    check_same(work, peers, effort.device)
    others = [*peers, *({_own_loop(work)} - {"loop"})]
    with ExitStack() as stack:
        contenders = _contenders(stack, work, others, effort)
        for contender in contenders.values():
            contender.tasks_per_second(0)  # warm-up: the first batch takes longer
        runs = [
            {name: c.tasks_per_second(effort.seconds) for name, c in contenders.items()} for _ in range(effort.rounds)
        ]
        peaks = {name: contender.peak_mib() for name, contender in contenders.items()}
    rates = {name: median(run[name] for run in runs) for name in contenders}
    ours, our_peak, gflop = rates.pop("ours"), peaks.pop("ours"), gflop_per_task(work)
    return Row(
        work=work.name,
        unit="tasks/s",
        ours=ours,
        peers=rates,
        ratio=_ratio(ours, rates, peers),
        ratio_processes=_ratio(ours, rates, [several(name) for name in peers]),
        floor_ratio=effort.gflops / gflop / ours,
        gflop=gflop,
        peak_mib=our_peak,
        peers_peak_mib=peaks,
        not_installed=[name for name in effort.peers if name not in peers],
    )


def _contenders(stack: ExitStack, work: Work, others: Sequence[str], effort: Effort) -> dict[str, Contender]:
    """All contenders with their processes started. A peer's first process serves both alone and as one of several."""
    numbers, device = range(effort.processes), str(effort.device)
    stations = {
        name: [stack.enter_context(Worker(Station, name, work, number, device)) for number in numbers]
        for name in ["ours", *others]
    }
    contenders = {"ours": Contender(stations["ours"], 1)}
    contenders |= {name: Contender(stations[name][:1], effort.threads) for name in others}
    if effort.processes > 1:
        contenders |= {several(name): Contender(stations[name], 1) for name in others}
    return contenders


def check_same(work: Work, peers: Sequence[str], device: torch.device) -> None:
    """Check that all gradients of two tasks are those of the plain loop.

    Args:
        work: Work of the row; the peers compute MAML's gradient whatever its learner.
        peers: Names of the peers.
        device: Device to compute on.

    Raises:
        NasError: Our gradient or a peer's differs from that of the plain loop.
    """
    for dtype, tolerance in TOLERANCE.items():
        problem = replace(work, tasks=2).problem(0, device).to(dtype)
        pairs = {"ours": _own_loop(work), **{name: "loop" for name in peers if name != "loop"}}
        for name, reference in pairs.items():
            with full_float32():
                gradient, expected = (
                    torch.cat([part.flatten() for part in CONTENDERS[each](problem)()]) for each in (name, reference)
                )
            distance = float((gradient - expected).norm() / expected.norm())
            if not distance < tolerance:
                raise NasError(
                    f"{name} and {reference} do not compute the same: in {dtype} their gradients are {distance:.1e} "
                    f"apart, and {tolerance:g} is allowed"
                )


def gflop_per_task(work: Work) -> float:
    """Multiplications and additions of matrix products and convolutions in the plain loop, in GFLOP."""
    gradient = CONTENDERS[_own_loop(work)](replace(work, tasks=1).problem(0, torch.device("cpu")))
    with FlopCounterMode(display=False) as counter:
        gradient()
    return float(counter.get_total_flops()) / 1e9


def matmul_gflops(device: torch.device, seconds: float) -> float:
    """The machine's float32 rate in GFLOP/s: the best over some sizes of matrix products, each run for some seconds."""
    sizes = (4096, 8192) if device.type == "cuda" else (1024, 1536, 2048)
    torch.set_num_threads(CORES)
    rate = max(_matmul_gflops(size, device, seconds) for size in sizes)
    torch.set_num_threads(1)
    return rate


def _matmul_gflops(size: int, device: torch.device, seconds: float) -> float:
    a = torch.ones(size, size, device=device)
    timed(lambda: a @ a, 0, device)
    times, took = timed(lambda: a @ a, seconds, device)
    return 2 * size**3 * times / took / 1e9


def _own_loop(work: Work) -> str:
    """Name of the plain loop that computes what our learner computes."""
    return "loop, ANIL" if isinstance(work.learner, Anil) else "loop"


def _ratio(ours: float, rates: Mapping[str, float], peers: Sequence[str]) -> float | None:
    measured = [rates[name] for name in peers if name in rates]
    return ours / max(measured) if measured else None


def several(name: str) -> str:
    """Name of a peer as several processes."""
    return f"{name} ×{CORES}"
