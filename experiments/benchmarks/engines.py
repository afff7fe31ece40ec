"""Benchmark of engines: overhead a candidate of each, and how throughput grows with the number of slots.

    python -m nas.experiments.benchmarks.engines [--engines inline processes ray nni] [--json] [--out FILE]

Run it on an idle machine. Ray and NNI need their extras.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median

from nas.architecture import Architecture
from nas.controllers.random_search import RandomSearch
from nas.executors import ExecutorAdapter, ProcessExecutor, SlotRequest
from nas.protocols import CandidateExecutor
from nas.registry import components
from nas.search import search
from nas.search.options import SearchOptions
from nas.store.memory_store import MemoryStore
from nas.testing.toy_spaces import Vast
from nas.trial import Score

from ..command_line import add_output_options, explained, machine, machine_line, print_benchmark, show_progress, whole

ENGINES = ("inline", "processes", "ray", "nni")
CANDIDATES = {"nni": 10}
"""Candidates of an engine's measurement; USUAL of the others."""
USUAL = 300
SIMULATED_WORKERS, SIMULATED_S, ROUNDS = 64, 0.5, 40
"""Slots that only wait, seconds that each candidate waits, and candidates a slot."""
BUSY_S = 0.2
"""Processor time of a candidate where slots compute, in seconds."""
EFFICIENCY = 0.95
"""Target of the share of the slots' time in which they evaluate."""


@dataclass(frozen=True)
class Waiting:
    """An evaluator that waits.

    Attributes:
        seconds: How long, in seconds.
    """

    seconds: float = 0.0

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        if self.seconds:
            time.sleep(self.seconds)
        return Score(0.0, 0.0)


@dataclass(frozen=True)
class Computing:
    """An evaluator that computes for a fixed amount of processor time.

    Attributes:
        seconds: How much, in seconds of processor time.
    """

    seconds: float

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            pass
        return Score(0.0, 0.0)


@dataclass(frozen=True)
class Overhead:
    """What an engine adds to each candidate.

    Attributes:
        engine: Its name.
        start_s: Seconds until the first candidate's result.
        median_ms: Median milliseconds between two results of one slot, where a candidate takes no time itself.
        candidates: Number of candidates.
    """

    engine: str
    start_s: float
    median_ms: float
    candidates: int


@dataclass(frozen=True)
class Scaling:
    """Share of the slots' time in which they evaluate.

    Attributes:
        slots: What the slots are.
        count: How many.
        efficiency: The share, from 0 to 1.
        met: Whether the target was met.
    """

    slots: str
    count: int
    efficiency: float
    met: bool


def overhead(engine: str) -> Overhead:
    """The overhead of one engine with one slot."""
    began = time.perf_counter()
    ends: list[float] = []
    with _made(engine) as executor:
        count = CANDIDATES.get(engine, USUAL)
        _search(Waiting(), executor, count, lambda: ends.append(time.perf_counter()))
    times = [later - earlier for earlier, later in pairwise(ends)]
    return Overhead(engine, round(ends[0] - began, 2), round(1000 * median(times), 3), count)


def scaling_of_processes(count: int, candidates: int) -> Scaling:
    """Efficiency of worker processes that compute, against one of them: seconds of one ÷ (`count` × seconds of all)."""
    seconds = []
    for workers in (1, count):
        with ProcessExecutor(workers) as executor:
            _search(Waiting(), executor, 2 * workers)  # starts them
            began = time.perf_counter()
            _search(Computing(BUSY_S), executor, candidates)
            seconds.append(time.perf_counter() - began)
    efficiency = seconds[0] / (count * seconds[1])
    return Scaling("worker processes that compute", count, round(efficiency, 3), efficiency >= EFFICIENCY)


def scaling_of_waiting() -> Scaling:
    """Efficiency of slots that only wait: what proposing, submitting and telling leaves of their time."""
    with ThreadPoolExecutor(SIMULATED_WORKERS) as pool:
        began = time.perf_counter()
        _search(Waiting(SIMULATED_S), ExecutorAdapter(pool, SIMULATED_WORKERS), SIMULATED_WORKERS * ROUNDS)
        seconds = time.perf_counter() - began
    efficiency = ROUNDS * SIMULATED_S / seconds
    return Scaling("slots that wait", SIMULATED_WORKERS, round(efficiency, 3), efficiency >= EFFICIENCY)


def _search(
    evaluator: Waiting | Computing,
    executor: CandidateExecutor,
    trials: int,
    heard: Callable[[], None] = lambda: None,
) -> None:
    space = Vast()
    options = SearchOptions(
        trials=trials,
        budget=1,
        seed=0,
        workers=executor.workers,
        duplicates="evaluated",
        on_trial=lambda _trial: heard(),
    )
    search(space, RandomSearch(space=space, seed=0), evaluator, MemoryStore(), executor, options)


@contextmanager
def _made(engine: str) -> Iterator[CandidateExecutor]:
    options = {"cpus": 0.5} if engine == "ray" else {}
    request = SlotRequest(1, "cpu")
    executor: CandidateExecutor = components.create("engine", engine, options, slot_request=request)
    try:
        yield executor
    finally:
        executor.shutdown()


def table(overheads: Sequence[Overhead], scalings: Sequence[Scaling]) -> str:
    """The results for people."""
    lines = [machine_line(machine()), "", "engine       first result    a candidate more   candidates"]
    for each in overheads:
        lines.append(f"{each.engine:<12} {each.start_s:>10.2f} s {each.median_ms:>15.2f} ms {each.candidates:>12}")
    lines += ["", f"share of the slots' time in which they evaluate (target {EFFICIENCY:.0%})"]
    for scaling in scalings:
        state = "met" if scaling.met else "MISSED"
        lines.append(f"{scaling.slots:<32} {scaling.count:>4}   {scaling.efficiency:.1%}   {state}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m nas.experiments.benchmarks.engines", description=__doc__)
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES), help="engines to measure")
    parser.add_argument("--processes", type=whole(2), default=2, help="worker processes of the scaling")
    parser.add_argument("--candidates", type=whole(2), default=100, help="candidates of the scaling of processes")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained("engines"):
        overheads = []
        for engine in options.engines:
            show_progress(f"{engine} …")
            overheads.append(overhead(engine))
        scalings = [scaling_of_processes(options.processes, options.candidates), scaling_of_waiting()]
        document = {
            "machine": machine(),
            "overheads": [asdict(each) for each in overheads],
            "scalings": [asdict(each) for each in scalings],
        }
        print_benchmark(options, table(overheads, scalings), document)


if __name__ == "__main__":
    main()
