"""How `inner_loop` measures a row: contenders' gradients compared, then their processes timed in turns."""

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
CLOSE = {torch.float64: 1e-6, torch.float32: 0.1}
"""How far gradients may be apart, relative to their length. In float32 the order of a sum can turn a ReLU, which moves
them by a hundredth; float32 is what is timed, so it is looked at too."""


@dataclass(frozen=True)
class Row:
    """What was measured: `ours` and `peers` in `unit`.

    ratio            ours to the best peer as one process, with two threads on the CPU; always to MAML
    ratio_processes  ours to the best peer as two processes of one thread; None on a GPU. Both None without peers
    floor_ratio      our seconds over those that the arithmetic alone would take at the machine's matmul rate
    gflop            that arithmetic: of a task, or of a candidate's score
    peak_mib         the most memory ours held, over all its processes; `peers_peak_mib` theirs
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
    """How long is measured, where, and beside whom.

    processes  ours, and a peer's under "×2"
    threads    of a peer that is one process
    gflops     the machine's matmul rate
    """

    device: torch.device
    seconds: float
    rounds: int
    peers: tuple[str, ...]
    processes: int
    threads: int
    gflops: float


class Station:
    """A contender in its process, with its own batch of tasks."""

    def __init__(self, name: str, work: Work, number: int, device: str) -> None:
        self._device, self._tasks = torch.device(device), work.tasks
        self._gradient: Gradient = CONTENDERS[name](work.problem(number, self._device))

    def run(self, seconds: float, threads: int) -> float:
        """Tasks a second over some seconds."""
        torch.set_num_threads(threads)
        times, took = timed(self._gradient, seconds, self._device)
        return times * self._tasks / took

    def peak_mib(self) -> float:
        return peak_mib(self._device)


@dataclass(frozen=True)
class Contender:
    """Processes that work at the same time, with so many threads each."""

    workers: Sequence[Worker]
    threads: int

    def tasks_per_second(self, seconds: float) -> float:
        for worker in self.workers:
            worker.ask("run", seconds, self.threads)
        return float(sum(worker.answer() for worker in self.workers))

    def peak_mib(self) -> float:
        return float(sum(worker.call("peak_mib") for worker in self.workers))


def measure(work: Work, effort: Effort) -> Row:
    """A row of meta-gradients. Raises NasError where two contenders do not compute the same gradient."""
    peers = [name for name in effort.peers if installed(name)]
    check_same(work, peers, effort.device)
    others = [*peers, *({_own_loop(work)} - {"loop"})]
    with ExitStack() as stack:
        contenders = _contenders(stack, work, others, effort)
        for contender in contenders.values():
            contender.tasks_per_second(0)  # the first batch takes longer, and does not count
        runs = [
            {name: c.tasks_per_second(effort.seconds) for name, c in contenders.items()} for _ in range(effort.rounds)
        ]
        peaks = {name: contender.peak_mib() for name, contender in contenders.items()}
    rates = {name: median(run[name] for run in runs) for name in contenders}
    own, own_peak, gflop = rates.pop("ours"), peaks.pop("ours"), gflop_per_task(work)
    return Row(
        work=work.name,
        unit="tasks/s",
        ours=own,
        peers=rates,
        ratio=_ratio(own, rates, peers),
        ratio_processes=_ratio(own, rates, [several(name) for name in peers]),
        floor_ratio=effort.gflops / gflop / own,
        gflop=gflop,
        peak_mib=own_peak,
        peers_peak_mib=peaks,
        not_installed=[name for name in effort.peers if name not in peers],
    )


def _contenders(stack: ExitStack, work: Work, others: Sequence[str], effort: Effort) -> dict[str, Contender]:
    """Everyone's processes, started. A peer's first process serves it both alone and as one of several."""
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
    """Raises NasError where a gradient of two tasks is not the plain loop's: ours, or a peer's (always MAML's)."""
    for dtype, close in CLOSE.items():
        problem = replace(work, tasks=2).problem(0, device).to(dtype)
        pairs = {"ours": _own_loop(work), **{name: "loop" for name in peers if name != "loop"}}
        for name, reference in pairs.items():
            with full_float32():
                gradient, expected = (
                    torch.cat([part.flatten() for part in CONTENDERS[who](problem)()]) for who in (name, reference)
                )
            apart = float((gradient - expected).norm() / expected.norm())
            if not apart < close:
                raise NasError(
                    f"{name} and {reference} do not compute the same: in {dtype} their gradients are {apart:.1e} "
                    f"apart, and {close:g} is allowed"
                )


def gflop_per_task(work: Work) -> float:
    """Multiplications and additions of matrix products and convolutions in the plain loop, in thousand millions."""
    gradient = CONTENDERS[_own_loop(work)](replace(work, tasks=1).problem(0, torch.device("cpu")))
    with FlopCounterMode(display=False) as counter:
        gradient()
    return float(counter.get_total_flops()) / 1e9


def matmul_gflops(device: torch.device, seconds: float) -> float:
    """The machine's float32 rate: the best of a few sizes of `torch.mm`, each tried for some seconds."""
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
    """The plain loop that computes what ours do."""
    return "loop, ANIL" if isinstance(work.learner, Anil) else "loop"


def _ratio(own: float, rates: Mapping[str, float], peers: Sequence[str]) -> float | None:
    measured = [rates[name] for name in peers if name in rates]
    return own / max(measured) if measured else None


def several(name: str) -> str:
    """What a peer is called as several processes."""
    return f"{name} ×{CORES}"
