"""Meta-gradients a second: this project's learners beside a plain loop over tasks and the packages higher and torchopt.

    python -m nas.experiments.benchmarks.inner_loop [--rows 1,4] [--seconds 3] [--rounds 5] [--json] [--out FILE]

On the CPU ours run as a search runs them, one process of one thread a core; a peer is one process with as many threads,
and, under "×2", as many processes as ours. All gradients are compared before anything is timed. Then contenders take
turns for some seconds each, round after round, one at a time; a contender's number is the median of its rounds. On a
GPU each is one process. The last row is a candidate's whole score, in seconds. Run it on a machine that does nothing
else: two threads that wait for each other lose most to others, and the ratio to the peers then flatters ours.
`pip install adaptnas[bench]` brings the packages.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import torch

from nas.evaluators.learners import Anil, Maml
from nas.evaluators.meta_training.devices import device_of

from ...command_line import explained, machine, output, whole
from .candidate_score import Score, measure_score
from .contenders import PEERS
from .measure import CORES, Effort, Row, matmul_gflops, measure
from .problems import Work

TASKS = 32
"""Tasks of a batch of images: what MAML is published with."""
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
BUSY = 0.5
"""The load from which on two threads of a peer may not have a core each."""


def text(about: Mapping[str, object], rows: Sequence[Row]) -> str:
    """The rows as tables, for people."""
    lines = [" · ".join(f"{key} {value}" for key, value in about.items())]
    for row in rows:
        lines += ["", row.work, f"  {'':<14}{row.unit:>10}{'peak MiB':>10}"]
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
    about: dict[str, object] = {**machine()}  # first: later the load is this benchmark's own
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
    shown = text(about, rows)
    if arguments.json:
        shown = json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, ensure_ascii=False)
    print(shown)
    if arguments.out:
        arguments.out.write_text(shown + "\n", encoding="utf-8")


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
    """The same with next to nothing to do."""
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
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--out", type=output, help="a file for what is printed")
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
