"""Benchmark of meta-gradients a second: our learners beside a plain loop over tasks, higher and torchopt.

    python -m nas.experiments.benchmarks.inner_loop [--rows 1,4] [--seconds 3] [--rounds 5] [--json] [--out FILE]

On the CPU, our learners run as in a search, in one process of one thread for each core. A peer is one process with as
many threads, and, under "×2", as many processes. On a GPU each contender is one process. All gradients are compared
before anything is timed. Then the contenders run in turns for some seconds each, one at a time, in several rounds; the
number of a contender is the median over rounds. The last row is the time of a whole candidate score. Run it on an idle
machine: other load slows two threads that wait for each other most, which would flatter our ratio to the peers.
`pip install adaptnas[bench]` installs the packages.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import torch

from nas.evaluators.learners import Anil, Maml
from nas.evaluators.meta_training.devices import device_of

from ...command_line import add_output_options, explained, machine, machine_line, print_benchmark, whole
from .candidate_score import Score, measure_score
from .contenders import PEERS
from .measure import CORES, Effort, Row, matmul_gflops, measure
from .problems import Work

TASKS = 32
"""Tasks in a batch of images, as in MAML's published settings."""
IMAGES = "28×28, 5-way 1-shot, 5 steps, 15 queries"
MAML = Maml(inner_lr=0.1, steps=5)
WORKS = {
    1: Work(f"second-order MAML, conv4-64 stride 2, {IMAGES}", (64,), TASKS, MAML),
    2: Work(f"second-order MAML, conv4-16 stride 2, {IMAGES}", (16,), TASKS, MAML),
    3: Work(f"ANIL (peers: MAML), conv4-64 stride 2, {IMAGES}", (64,), TASKS, Anil(inner_lr=0.1, steps=5)),
    4: Work(
        "second-order MAML, sinusoid, 25 tasks, 1-40-40-1, 1 step, 5 shots, 10 queries",
        (40, 40),
        25,
        Maml(inner_lr=0.01, steps=1),
        "regression",
    ),
}
SCORE_ROW = 5
"""Number of the row of candidate scores."""
BUSY = 0.5
"""Load above which two threads of a peer may not have a core each."""


def text(about: Mapping[str, object], rows: Sequence[Row]) -> str:
    """The tables for people; `about` describes the machine."""
    lines = [machine_line(about)]
    for row in rows:
        lines += ["", row.work, f"  {'':<14}{row.unit:>10}{'peak MiB':>10}"]
        lines.append(f"  {'ours':<14}{row.ours:>10.1f}{row.peak_mib:>10.0f}")
        lines += [f"  {name:<14}{rate:>10.1f}{row.peers_peak_mib[name]:>10.0f}" for name, rate in row.peers.items()]
        lines += [f"  {name:<14}  not installed" for name in row.not_installed]
        ratios = [] if row.ratio is None else [f"{row.ratio:.2f}× the best peer"]
        if row.ratio_processes is not None:
            ratios.append(f"{row.ratio_processes:.2f}× the best as {CORES} processes")
        ratios.append(f"{row.floor_ratio:.1f} times the time of the arithmetic alone")
        lines.append(f"  ours: {', '.join(ratios)}")
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    arguments = _parser().parse_args()
    about: dict[str, object] = {**machine()}  # before the measurement, whose own load it would include
    if os.getloadavg()[0] > BUSY:
        print(f"the machine is busy (load {about['load']}): the ratios will flatter ours", file=sys.stderr)
    with explained("inner_loop", interrupted="interrupted; nothing was kept"):
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
    about |= {"device": _device_name(device), "matmul_gflops": round(effort.gflops, 1)}
    print_benchmark(arguments, text(about, rows), {"machine": about, "rows": [asdict(row) for row in rows]})


def _row(number: int, arguments: argparse.Namespace, effort: Effort) -> Row:
    if number == SCORE_ROW:
        score = Score(str(effort.device))
        if arguments.toy:
            score, effort = replace(score, training_tasks=8, evaluation_tasks=4), replace(effort, processes=1)
        print(score.work, file=sys.stderr)
        return measure_score(score, effort)
    work = toy(WORKS[number]) if arguments.toy else WORKS[number]
    print(work.name, file=sys.stderr)
    return measure(replace(work, tasks=arguments.tasks or work.tasks), effort)


def toy(work: Work) -> Work:
    """The same work at toy size, for tests."""
    return replace(work, name=f"toy: {work.name}", widths=tuple(min(width, 4) for width in work.widths), tasks=2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measures meta-gradients a second, beside others'.")
    parser.add_argument("--rows", type=_rows, default=[*WORKS, SCORE_ROW], help="which of 1 to 5, as in 1,4")
    parser.add_argument("--peers", type=_peers, default=tuple(PEERS), help=f"which of {','.join(PEERS)}")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each contender in each round")
    parser.add_argument("--rounds", type=whole(1), default=5)
    parser.add_argument("--tasks", type=whole(1), help="tasks in a batch")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, …; auto is a GPU where there is one")
    parser.add_argument("--toy", action="store_true", help="a fraction of the work, to see that all runs")
    add_output_options(parser)
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
