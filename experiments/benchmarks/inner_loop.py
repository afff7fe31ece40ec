"""Meta-gradients a second: this project's learners beside a plain loop over tasks and the packages higher and torchopt.

    python -m nas.experiments.benchmarks.inner_loop [--rows 1,4] [--seconds 3] [--rounds 5] [--json] [--out FILE]

On the CPU ours run as a search runs them, one process of one thread a core; a peer is one process with as many threads,
and, under "×2", as many processes as ours. All gradients are compared before anything is timed. Then contenders take
turns for some seconds each, round after round, one at a time; a contender's number is the median of its rounds. On a
GPU each is one process. Run it on a machine that does nothing else; `pip install adaptnas[bench]` has the packages.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.errors import NasError
from nas.evaluators.devices import device_of
from nas.evaluators.learners import Maml
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.protocols import TaskBatch, TaskShape
from nas.search_spaces.networks import conv4, mlp

from .inner_loop_peers import PEERS, Gradient, Problem, conv4_forward, installed, loop, mlp_forward, ours
from .inner_loop_workers import Worker, peak_mib, timed
from .search_overhead import machine

CORES = 2
CLOSE = {torch.float64: 1e-6, torch.float32: 0.1}
"""How far gradients may be apart, relative to their length. In float32 the order of a sum can turn a ReLU, which moves
them by a hundredth; float32 is what is timed, so it is looked at too."""
WAYS, SHOTS, QUERIES, SIDE = 5, 1, 15, 28


@dataclass(frozen=True)
class Work:
    """What a row measures: `tasks` in a batch; `widths` of a convolutional network, or the hidden ones of an MLP."""

    name: str
    kind: Literal["classification", "regression"]
    widths: tuple[int, ...]
    tasks: int
    learner: Maml

    def problem(self, number: int, device: torch.device) -> Problem:
        """The same for everyone who asks for this number: which batch of tasks it is."""
        first = number * self.tasks
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            if self.kind == "regression":
                network = mlp(self.widths, "relu", TaskShape((1,), 1, self.kind))
                batch = Sinusoid(shots=5, queries=10).tasks("train", range(first, first + self.tasks), device)
                return Problem(network.to(device), mlp_forward, batch, self.kind, self.learner)
            network = conv4(self.widths[0], TaskShape((1, SIDE, SIDE), WAYS, self.kind))
        return Problem(network.to(device), conv4_forward, _images(self.tasks, first, device), self.kind, self.learner)


ROWS = {
    1: Work(
        "second-order MAML, conv4-64 stride 2, 28×28, 5-way 1-shot, 5 steps, 15 queries",
        "classification",
        (64,),
        8,
        Maml(inner_lr=0.1, steps=5),
    ),
    2: Work(
        "second-order MAML, conv4-16 stride 2, 28×28, 5-way 1-shot, 5 steps, 15 queries",
        "classification",
        (16,),
        8,
        Maml(inner_lr=0.1, steps=5),
    ),
    4: Work(
        "second-order MAML, sinusoid, 25 tasks, 1-40-40-1, 1 step, 5 shots, 10 queries",
        "regression",
        (40, 40),
        25,
        Maml(inner_lr=0.01, steps=1),
    ),
}


@dataclass(frozen=True)
class Row:
    """What was measured, in tasks a second.

    ratio            ours to the best peer (one process, two threads)
    ratio_processes  ours to the best peer as two processes; None on a GPU
    floor_ratio      our seconds a task over those that its arithmetic alone would take at the matmul rate
    peak_mib         the most memory ours held, over all its processes; `peers_peak_mib` theirs
    """

    work: str
    ours: float
    peers: dict[str, float]
    ratio: float
    ratio_processes: float | None
    floor_ratio: float
    gflop_per_task: float
    peak_mib: float
    peers_peak_mib: dict[str, float]
    not_installed: list[str]


class Station:
    """A contender in its process, with its own batch of tasks."""

    def __init__(self, name: str, work: Work, number: int, device: str) -> None:
        self._device, self._tasks = torch.device(device), work.tasks
        self._make, self._problem = {"ours": ours, **PEERS}[name], work.problem(number, self._device)
        self._gradient: Gradient = self._make(self._problem)

    def gradient(self, dtype: torch.dtype) -> np.ndarray:
        """The gradient of this batch, all parameters' in a row."""
        gradient = self._gradient if dtype == torch.float32 else self._make(self._problem.to(dtype))
        return torch.cat([g.flatten() for g in gradient()]).numpy(force=True)

    def run(self, seconds: float, threads: int) -> float:
        """Tasks a second over some seconds, after one batch that does not count."""
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

    def call(self, method: str, *arguments: object) -> list[float]:
        for worker in self.workers:
            worker.ask(method, *arguments)
        return [worker.answer() for worker in self.workers]

    def tasks_per_second(self, seconds: float) -> float:
        return sum(self.call("run", seconds, self.threads))


def measure(work: Work, *, device: torch.device, seconds: float, rounds: int, gflops: float) -> Row:
    """One row. Raises NasError where two contenders do not compute the same gradient."""
    names = [name for name in PEERS if installed(name)]
    gpu = device.type == "cuda"
    with ExitStack() as stack:
        stations = {
            name: [
                stack.enter_context(Worker(Station, name, work, number, str(device)))
                for number in range(1 if gpu else CORES)
            ]
            for name in ["ours", *names]
        }
        for dtype in CLOSE:
            _check_same({name: workers[0].call("gradient", dtype) for name, workers in stations.items()}, CLOSE[dtype])
        contenders = {"ours": Contender(stations["ours"], 1)}
        contenders |= {name: Contender(stations[name][:1], CORES) for name in names}
        if not gpu:
            contenders |= {f"{name} ×{CORES}": Contender(stations[name], 1) for name in names}
        for contender in contenders.values():
            contender.tasks_per_second(0)  # the first batch takes longer, and does not count
        runs = [{name: c.tasks_per_second(seconds) for name, c in contenders.items()} for _ in range(rounds)]
        peaks = {name: sum(contender.call("peak_mib")) for name, contender in contenders.items()}
    rates = {name: median(run[name] for run in runs) for name in contenders}
    own, own_peak = rates.pop("ours"), peaks.pop("ours")
    several = [rates[f"{name} ×{CORES}"] for name in names if not gpu]
    gflop = gflop_per_task(work)
    return Row(
        work=work.name,
        ours=own,
        peers=rates,
        ratio=own / max(rates[name] for name in names),
        ratio_processes=own / max(several) if several else None,
        floor_ratio=gflops / gflop / own,
        gflop_per_task=gflop,
        peak_mib=own_peak,
        peers_peak_mib=peaks,
        not_installed=[name for name in PEERS if name not in names],
    )


def gflop_per_task(work: Work) -> float:
    """Multiplications and additions of matrix products and convolutions in the plain loop, in thousand millions."""
    gradient = loop(replace(work, tasks=1).problem(0, torch.device("cpu")))
    with FlopCounterMode(display=False) as counter:
        gradient()
    return float(counter.get_total_flops()) / 1e9


def matmul_gflops(device: torch.device, seconds: float) -> float:
    """The machine's float32 rate: the best of a few sizes of `torch.mm`, each tried for some seconds."""
    torch.set_num_threads(CORES)
    return max(_matmul_gflops(size, device, seconds) for size in (1024, 1536, 2048))


def _matmul_gflops(size: int, device: torch.device, seconds: float) -> float:
    a = torch.ones(size, size, device=device)
    timed(lambda: a @ a, 0, device)
    times, took = timed(lambda: a @ a, seconds, device)
    return 2 * size**3 * times / took / 1e9


def _images(tasks: int, first: int, device: torch.device) -> TaskBatch:
    """Noise in the place of images: no time depends on what they show."""
    generator = torch.Generator().manual_seed(first)
    x = torch.rand(tasks, WAYS * (SHOTS + QUERIES), 1, SIDE, SIDE, generator=generator).to(device)
    labels = torch.arange(WAYS, device=device)
    support, query = (labels.repeat_interleave(count).expand(tasks, -1) for count in (SHOTS, QUERIES))
    return TaskBatch(x[:, : WAYS * SHOTS], support, x[:, WAYS * SHOTS :], query)


def _check_same(gradients: Mapping[str, np.ndarray], close: float) -> None:
    """Raises NasError where a gradient is not the plain loop's."""
    expected = gradients["loop"]
    for name, gradient in gradients.items():
        apart = float(np.linalg.norm(gradient - expected) / np.linalg.norm(expected))
        if not apart < close:
            raise NasError(
                f"{name} and loop do not compute the same: their gradients are {apart:.1e} apart, {close:g} is allowed"
            )


def _text(about: Mapping[str, object], rows: Sequence[Row]) -> str:
    lines = [" · ".join(f"{key} {value}" for key, value in about.items())]
    for row in rows:
        lines += ["", f"{row.work}", f"  {'':<14}{'tasks/s':>10}{'peak MiB':>10}"]
        lines.append(f"  {'ours':<14}{row.ours:>10.1f}{row.peak_mib:>10.0f}")
        lines += [f"  {name:<14}{rate:>10.1f}{row.peers_peak_mib[name]:>10.0f}" for name, rate in row.peers.items()]
        lines += [f"  {name:<14}  not installed" for name in row.not_installed]
        several = "" if row.ratio_processes is None else f", {row.ratio_processes:.2f}× the best as {CORES} processes"
        lines.append(
            f"  ours: {row.ratio:.2f}× the best peer{several}; {row.floor_ratio:.1f}× the time of its arithmetic"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures meta-gradients a second, beside others'.")
    parser.add_argument("--rows", type=_row_numbers, default=list(ROWS), help="which, as in 1,4")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each contender in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, …; auto is a GPU where there is one")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--out", type=Path, help="a file for what is printed")
    arguments = parser.parse_args()
    device = device_of(arguments.device)
    gflops = matmul_gflops(device, 0.3)
    about = {**machine(), "device": str(device), "matmul_gflops": round(gflops, 1)}
    rows = [
        measure(ROWS[number], device=device, seconds=arguments.seconds, rounds=arguments.rounds, gflops=gflops)
        for number in arguments.rows
    ]
    if arguments.json:
        text = json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, ensure_ascii=False)
    else:
        text = _text(about, rows)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


def _row_numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    unknown = [number for number in numbers if number not in ROWS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no row {unknown[0]}; choose from {', '.join(map(str, ROWS))}")
    return numbers


if __name__ == "__main__":
    main()
