"""Benchmark of a search's overhead: start-up, and proposing and storing a candidate, without evaluations.

    python -m nas.experiments.benchmarks.search_overhead [--json]

Run it on an idle machine, in a folder on the disk where runs are kept.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, median

from nas import registry
from nas.protocols import Controller
from nas.store import Store
from nas.trial import Score, Trial

from ..command_line import Machine, machine, machine_line

SPACE = "few-shot-cell"
IMPORT = (
    "import time; began = time.perf_counter(); import nas; seconds = time.perf_counter() - began; "
    "import json, sys; print(json.dumps([seconds, 'torch' in sys.modules]))"
)
TARGETS = {"import nas": 0.3, "nas --help": 0.5, "evolution": 5.0}
"""Seconds for the first two (medians); milliseconds a candidate for the controller (mean)."""


@dataclass(frozen=True)
class Start:
    """Start-up time of a command.

    Attributes:
        name: Name in the table.
        seconds: Median over fresh processes.
        torch: Whether any of them imported torch; None if that was not measured.
        target_s: Target in seconds.
        met: Whether the target was met.
    """

    name: str
    seconds: float
    torch: bool | None
    target_s: float
    met: bool


@dataclass(frozen=True)
class Overhead:
    """Time of a controller's ask + store + tell, and memory of a process that does only that.

    Attributes:
        controller: Name of the controller.
        candidates: Number of candidates.
        median_ms: Median milliseconds a candidate.
        mean_ms: Mean milliseconds a candidate.
        peak_bytes: Peak memory.
        target_ms: Target of the mean; None without a target.
        met: Whether the target was met; None without a target.
    """

    controller: str
    candidates: int
    median_ms: float
    mean_ms: float
    peak_bytes: int
    target_ms: float | None
    met: bool | None


def import_seconds(repeats: int) -> Start:
    """The time of `import nas`, without that of the interpreter's start."""
    runs = [json.loads(_output([sys.executable, "-c", IMPORT])) for _ in range(repeats)]
    seconds = median(seconds for seconds, _ in runs)
    torch = any(torch for _, torch in runs)
    target = TARGETS["import nas"]
    return Start("import nas", seconds, torch, target, seconds < target and not torch)


def help_seconds(repeats: int) -> Start:
    """The time of `nas --help`, from the start of the process to its end."""
    seconds = median(_timed([sys.executable, "-m", "nas", "--help"]) for _ in range(repeats))
    target = TARGETS["nas --help"]
    return Start("nas --help", seconds, None, target, seconds < target)


def overhead(name: str, candidates: int, folder: Path) -> Overhead:
    """The overhead of a controller, measured in a process of its own, because peak memory never falls."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        ms, peak_bytes = pool.submit(candidate_ms, name, candidates, folder / f"{name}.sqlite").result()
    target, mean = TARGETS.get(name), fmean(ms)
    return Overhead(name, candidates, median(ms), mean, peak_bytes, target, None if target is None else mean < target)


def candidate_ms(name: str, candidates: int, path: Path) -> tuple[list[float], int]:
    """The ms of each candidate's ask + store + tell, and the peak memory of this process in bytes."""
    space = registry.create("space", SPACE, {})
    controller: Controller = registry.create("controller", name, {}, space=space, seed=0)
    rng = random.Random(0)
    with Store.create(path, {}) as store:
        ms = [_one_candidate(controller, store, score_like(rng)) for _ in range(candidates)]
    unit = 1 if sys.platform == "darwin" else 1024
    return ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _one_candidate(controller: Controller, store: Store, score: Score) -> float:
    began = time.perf_counter()
    [trial] = store.propose(controller.ask(1), budget=1, seed=0)
    finished: Trial = replace(trial, state="done", score=score, seconds=0.0)
    store.finish(finished)
    controller.tell([finished])
    return 1000 * (time.perf_counter() - began)


def score_like(rng: random.Random) -> Score:
    """A random score as large as those of evaluators: 200 tasks, 5 inner steps, and a protocol."""
    tasks = tuple(rng.random() for _ in range(200))
    protocol = {"learner": {"name": "anil", "inner_lr": 0.1, "steps": 5}, "bank": {"first": 0, "count": 200}}
    return Score(fmean(tasks), 0.02, tasks[:6], tasks, {"parameters": 3285.0, "flops": 6.9e5}, protocol)


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _timed(command: Sequence[str]) -> float:
    began = time.perf_counter()
    _output(command)
    return time.perf_counter() - began


def _verdict(met: bool | None) -> str:
    return {True: "met", False: "NOT MET", None: ""}[met]


def print_tables(about: Machine, starts: Sequence[Start], overheads: Sequence[Overhead]) -> None:
    print(machine_line(about))
    for start in starts:
        torch = {True: ", with torch", False: ", without torch", None: ""}[start.torch]
        print(f"{start.name:<14}{start.seconds:>8.3f} s{torch}   target {start.target_s} s  {_verdict(start.met)}")
    print(f"\nask + store + tell on {SPACE}, ms a candidate")
    width = max(len(row.controller) for row in overheads) + 2
    print(f"{'controller':<{width}}{'candidates':>10}{'median':>10}{'mean':>10}{'target':>10}{'':>10}{'peak MiB':>10}")
    for row in overheads:
        target = "" if row.target_ms is None else f"{row.target_ms:g}"
        print(
            f"{row.controller:<{width}}{row.candidates:>10}{row.median_ms:>10.2f}{row.mean_ms:>10.2f}"
            f"{target:>10}{_verdict(row.met):>10}{row.peak_bytes / 2**20:>10.0f}"
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Measures what a search costs apart from evaluating.")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--candidates", type=int, default=200, help="for each controller")
    parser.add_argument("--repeats", type=int, default=5, help="fresh processes for each start-up time")
    arguments = parser.parse_args()
    about = machine()
    starts = [import_seconds(arguments.repeats), help_seconds(arguments.repeats)]
    # The stores are in the current folder, because a temporary folder may be in memory, where storing costs nothing.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="search_overhead-") as folder:
        overheads = [overhead(name, arguments.candidates, Path(folder)) for name in registry.names("controller")]
    if arguments.json:
        rows = {"starts": [asdict(row) for row in starts], "overheads": [asdict(row) for row in overheads]}
        print(json.dumps({"machine": about, **rows}))
    else:
        print_tables(about, starts, overheads)


if __name__ == "__main__":
    main()
