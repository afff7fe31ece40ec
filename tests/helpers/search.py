"""A small space, sound controllers and evaluators for the tests of the kernel; as a script, a search to kill."""

from __future__ import annotations

import math
import os
import random
import select
import signal
import sys
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx

from nas.architecture import Architecture
from nas.executors import InlineExecutor, ProcessExecutor
from nas.protocols import Trials
from nas.search import search
from nas.search.fidelity import Fidelity
from nas.space import enumerate_all, sample
from nas.store import Store
from nas.trial import Score, Trial

TRIALS = 8
HALVES: dict[str, Any] = {"fidelity": Fidelity(rungs=3, eta=2), "budget": 8, "trials": 14}
"""Options of a search by rungs of 2, 4 and 8 outer steps."""


class Bits:
    """Eight choices between two options."""

    name = "bits"

    def decide(self, choose: Any) -> list[int]:
        return [choose(f"bit{i}", [0, 1]) for i in range(8)]

    def build(self, spec: Any, task: Any) -> Any:
        raise NotImplementedError


class FewNetworks(Bits):
    """28 networks in 256 architectures: how many of the first six bits are 1 counts, not which; and the last two."""

    def graph(self, spec: list[int]) -> nx.DiGraph:
        cell = nx.DiGraph(last=spec[6:])
        cell.add_node("in", op="input")
        cell.add_node("out", op="output")
        for bit, value in enumerate(spec[:6]):
            cell.add_node(bit, op="conv" if value else "none")
            cell.add_edge("in", bit)
            cell.add_edge(bit, "out")
        return cell


FEW: dict[str, Any] = {"space": FewNetworks()}
"""Options of a search in which many proposals are repeats."""
AT_ONCE = 38
"""A seed of `Chain` whose second proposal there repeats the first."""


class Chain:
    """Proposes what a digest of all it was told, in order, and the number asked lead to; learns `batch` at a time.

    Any result left out, told twice or out of order changes everything that it proposes later.
    """

    def __init__(self, seed: int = 0, batch: int = 1) -> None:
        self.seed, self.batch = seed, batch
        self.asked, self.digest, self.unlearned = 0, 0, []

    def ask(self, n: int) -> list[Architecture]:
        drawn = []
        for _ in range(n):
            drawn.append(sample(Bits(), random.Random(f"{self.seed} {self.asked} {self.digest}")))
            self.asked += 1
        return drawn

    def tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            self.unlearned.append((trial.number, trial.architecture.key, trial.state, repr(trial.score), trial.error))
            if len(self.unlearned) == self.batch:
                self.digest = zlib.crc32(repr((self.digest, self.unlearned)).encode())
                self.unlearned = []


class List:
    """Proposes the first `count` architectures of the space, then nothing."""

    def __init__(self, count: int) -> None:
        self.left = list(enumerate_all(Bits()))[:count]

    def ask(self, n: int) -> list[Architecture]:
        asked, self.left = self.left[:n], self.left[n:]
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        pass


class OneByOne(List):
    """Proposes the next only when it was told of the last."""

    waits = False

    def ask(self, n: int) -> list[Architecture]:
        asked = [] if self.waits or n == 0 else super().ask(1)
        self.waits = self.waits or bool(asked)
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        self.waits = self.waits and not trials


@dataclass(frozen=True)
class Toy:
    """Scores the picks; one candidate in four raises, one in eight gives NaN."""

    harmless: bool = False

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        bits = [architecture.picks[f"bit{i}"] for i in range(8)]
        if bits[0] and bits[1] and not self.harmless:
            raise ValueError(f"bits {bits}\nare not liked")
        value = math.nan if bits[0] and bits[2] and bits[3] and not self.harmless else sum(bits) / 7 + seed / 3 + budget
        return Score(value, 0.1, curve=(0.1, value), per_task=(value / 3,), metrics={"pid": 1}, protocol={"ways": (5,)})


@dataclass(frozen=True)
class Stuck:
    """Says which process it is in, in a named pipe, and never ends."""

    pipe: str

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        Path(self.pipe).write_text(f"{os.getpid()}\n")
        threading.Event().wait()
        raise AssertionError


def read_numbers(pipe: Path, count: int) -> set[int]:
    """Waits for so many lines, a number each, in a named pipe. Held open both ways, it has no end between writers."""
    descriptor, data = os.open(pipe, os.O_RDWR), b""
    while data.count(b"\n") < count:
        data += os.read(descriptor, 1000)
    os.close(descriptor)
    return set(map(int, data.split()))


def ended(pid: int) -> bool:
    """Waits for the end of a process that need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready = select.select([descriptor], [], [], 60)[0]
    os.close(descriptor)
    return bool(ready)


def run_toy(store: Trials, **options: Any) -> str:
    """A search with the toys above, inline and one at a time unless the options say else."""
    usual = {
        "space": Bits(),
        "controller": Chain(),
        "evaluator": Toy(),
        "executor": InlineExecutor(),
        "trials": TRIALS,
        "budget": 3,
        "seed": 7,
        "workers": 1,
        "clock": lambda: 0.0,
    }
    return search(store=store, **{**usual, **options})


def main(path: Path, how: str, extra: str) -> None:
    """Searches, or resumes, and writes the number of each acknowledged trial to standard output.

    how: 'inline' or 'processes'; 'stuck': with evaluators that never end, and say so in the named pipe `extra`;
    'statement': inline, by rungs, with repeats, killed by itself when SQLite is about to run its statement number
    `extra`.
    """
    store = Store.open(path) if path.exists() else Store.create(path, {})
    if how == "statement":
        left = iter(range(int(extra)))
        connection = store._file._connection
        connection.set_trace_callback(lambda _: next(left, None) is None and os.kill(os.getpid(), signal.SIGKILL))
    workers = 1 if how in ("inline", "statement") else 2
    executor = InlineExecutor() if workers == 1 else ProcessExecutor(workers)
    evaluator = Stuck(extra) if how == "stuck" else Toy()
    with store, executor:
        acknowledge = lambda trial: os.write(1, f"{trial.number}\n".encode())  # noqa: E731
        rungs = {**HALVES, **FEW, "controller": Chain(AT_ONCE)} if how == "statement" else {}
        run_toy(store, executor=executor, evaluator=evaluator, workers=workers, on_trial=acknowledge, **rungs)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
