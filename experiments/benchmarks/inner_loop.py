"""Meta-gradients a second: this project's learners beside a plain loop over tasks and the packages higher and torchopt.

    python -m nas.experiments.benchmarks.inner_loop [--rows 1,4] [--seconds 3] [--rounds 5] [--json] [--out FILE]

On the CPU ours run as a search runs them, one process of one thread a core; a peer is one process with as many threads,
and, under "×2", as many processes as ours. All gradients are compared before anything is timed. Then contenders take
turns for some seconds each, round after round, one at a time; a contender's number is the median of its rounds. On a
GPU each is one process. The last row is a candidate's whole score, in seconds. Run it on a machine that does nothing
else; `pip install adaptnas[bench]` brings the packages.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.errors import NasError
from nas.evaluators.devices import device_of
from nas.evaluators.learners import Anil, Maml

from . import inner_loop_score
from .inner_loop_peers import CONTENDERS, PEERS, Gradient, installed
from .inner_loop_score import Score
from .inner_loop_work import Work
from .inner_loop_workers import Worker, full_float32, peak_mib, timed
from .search_overhead import machine

CORES = 2
GPU_TASKS = 32
"""Tasks of a batch of images on a GPU: what MAML is published with."""
CLOSE = {torch.float64: 1e-6, torch.float32: 0.1}
"""How far gradients may be apart, relative to their length. In float32 the order of a sum can turn a ReLU, which moves
them by a hundredth; float32 is what is timed, so it is looked at too."""

IMAGES = "28×28, 5-way 1-shot, 5 steps, 15 queries"
MAML = Maml(inner_lr=0.1, steps=5)
WORKS = {
    1: Work(f"second-order MAML, conv4-64 stride 2, {IMAGES}", (64,), 8, MAML),
    2: Work(f"second-order MAML, conv4-16 stride 2, {IMAGES}", (16,), 8, MAML),
    3: Work(f"ANIL (peers: MAML), conv4-64 stride 2, {IMAGES}", (64,), 8, Anil(inner_lr=0.1, steps=5)),
    4: Work(
        "second-order MAML, sinusoid, 25 tasks, 1-40-40-1, 1 step, 5 shots, 10 queries",
        (40, 40),
        25,
        Maml(inner_lr=0.01, steps=1),
        "regression",
    ),
}
SCORE_ROW = 5


@dataclass(frozen=True)
class Row:
    """What was measured, in tasks a second; the row of a candidate's score in seconds, and without peers.

    ratio            ours to the best peer as one process, with two threads on the CPU; always to MAML
    ratio_processes  ours to the best peer as two processes of one thread; None on a GPU
    floor_ratio      our seconds over those that the arithmetic alone would take at the machine's matmul rate
    gflop            that arithmetic: of a task, or of a candidate's score
    peak_mib         the most memory ours held, over all its processes; `peers_peak_mib` theirs
    """

    work: str
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
    several = [rates[_several(name)] for name in peers if _several(name) in rates]
    return Row(
        work=work.name,
        ours=own,
        peers=rates,
        ratio=own / max(rates[name] for name in peers),
        ratio_processes=own / max(several) if several else None,
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
        contenders |= {_several(name): Contender(stations[name], 1) for name in others}
    return contenders


def measure_score(score: Score, effort: Effort) -> Row:
    """The row of a candidate's score."""
    found = inner_loop_score.measure(score, processes=effort.processes, rounds=effort.rounds, gflops=effort.gflops)
    return Row(
        work=score.work,
        ours=found.seconds,
        peers={},
        ratio=None,
        ratio_processes=None,
        floor_ratio=found.floor_ratio,
        gflop=found.gflop,
        peak_mib=found.peak_mib,
        peers_peak_mib={},
        not_installed=[],
    )


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


def _several(name: str) -> str:
    return f"{name} ×{CORES}"


def _text(about: Mapping[str, object], rows: Sequence[Row]) -> str:
    lines = [" · ".join(f"{key} {value}" for key, value in about.items())]
    for row in rows:
        unit = "tasks/s" if row.peers else "s"
        lines += ["", row.work, f"  {'':<14}{unit:>10}{'peak MiB':>10}"]
        lines.append(f"  {'ours':<14}{row.ours:>10.1f}{row.peak_mib:>10.0f}")
        lines += [f"  {name:<14}{rate:>10.1f}{row.peers_peak_mib[name]:>10.0f}" for name, rate in row.peers.items()]
        lines += [f"  {name:<14}  not installed" for name in row.not_installed]
        said = [f"{row.floor_ratio:.1f} times the time of the arithmetic alone"]
        if row.ratio_processes is not None:
            said.insert(0, f"{row.ratio_processes:.2f}× the best as {CORES} processes")
        if row.ratio is not None:
            said.insert(0, f"{row.ratio:.2f}× the best peer")
        lines.append(f"  ours: {', '.join(said)}")
    return "\n".join(lines)


def main() -> None:
    arguments = _parser().parse_args()
    try:
        device = device_of(arguments.device)
        effort = Effort(
            device,
            arguments.seconds,
            arguments.rounds,
            arguments.peers,
            processes=1 if device.type == "cuda" else CORES,
            threads=1 if arguments.toy else CORES,
            gflops=matmul_gflops(device, 0.0 if arguments.toy else 0.3),
        )
        rows = [_row(number, arguments, effort) for number in arguments.rows]
    except NasError as error:
        sys.exit(str(error))
    about = {**machine(), "device": _device_name(device), "matmul_gflops": round(effort.gflops, 1)}
    text = _text(about, rows)
    if arguments.json:
        text = json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, ensure_ascii=False)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


def _row(number: int, arguments: argparse.Namespace, effort: Effort) -> Row:
    if number == SCORE_ROW:
        score = Score(str(effort.device))
        if arguments.toy:
            score, effort = replace(score, training_tasks=8, evaluation_tasks=4), replace(effort, processes=1)
        return measure_score(score, effort)
    work = toy(WORKS[number]) if arguments.toy else WORKS[number]
    if effort.device.type == "cuda" and work.kind == "classification":
        work = replace(work, tasks=GPU_TASKS)
    return measure(replace(work, tasks=arguments.tasks or work.tasks), effort)


def toy(work: Work) -> Work:
    """The same with next to nothing to do."""
    return replace(work, widths=tuple(min(width, 4) for width in work.widths), tasks=2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measures meta-gradients a second, beside others'.")
    parser.add_argument("--rows", type=_rows, default=[*WORKS, SCORE_ROW], help="which of 1 to 5, as in 1,4")
    parser.add_argument("--peers", type=_peers, default=tuple(PEERS), help=f"which of {','.join(PEERS)}")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each contender in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, help="tasks in a batch")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, …; auto is a GPU where there is one")
    parser.add_argument("--toy", action="store_true", help="a fraction of the work, to see that all runs")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--out", type=Path, help="a file for what is printed")
    return parser


def _rows(text: str) -> list[int]:
    return [int(part) for part in _known(text, [str(number) for number in (*WORKS, SCORE_ROW)])]


def _peers(text: str) -> tuple[str, ...]:
    return tuple(_known(text, list(PEERS)))


def _known(text: str, known: Sequence[str]) -> list[str]:
    for part in text.split(","):
        if part not in known:
            raise argparse.ArgumentTypeError(f"{part!r} is not known; choose from {', '.join(known)}")
    return text.split(",")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    main()
