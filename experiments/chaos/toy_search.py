"""A search of milliseconds by rungs, with duplicates and candidates that fail, to be broken and continued."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx

from nas.architecture import Architecture
from nas.controllers.regularized_evolution import RegularizedEvolution
from nas.errors import NasError
from nas.executors.inline_executor import InlineExecutor
from nas.search.fidelity import Fidelity
from nas.search.loop import search
from nas.search.options import SearchOptions
from nas.space import Choose
from nas.store.sqlite_store import Store
from nas.task import TaskShape
from nas.trial import Score, Trial

if TYPE_CHECKING:
    from torch import nn

TRIALS = 8
REFUSED = "it cannot be read: "
"""What the line of a store begins with that is refused in words."""
State = tuple[list[Trial], list[Trial]]
"""The trials of a store, and those that the controller was told of, in their order."""


class Switches:
    """Eight choices between two options. Of the first four only counts how many are 1, so that there are duplicates."""

    name = "switches"

    def decide(self, choose: Choose) -> list[int]:
        return [choose(f"switch{i}", [0, 1]) for i in range(8)]

    def build(self, spec: list[int], task: TaskShape) -> nn.Module:
        raise NotImplementedError

    def graph(self, spec: list[int]) -> nx.DiGraph:
        cell = nx.DiGraph(on=sum(spec[:4]), rest=spec[4:])
        cell.add_node("in", op="input")
        cell.add_node("out", op="output")
        cell.add_edge("in", "out")
        return cell


@dataclass(frozen=True)
class Digest:
    """Scores an architecture by a digest; one in eight raises, one in eight gives NaN."""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        draw = random.Random(zlib.crc32(f"{architecture.key} {budget} {seed}".encode()))
        kind = draw.randrange(8)
        if kind == 0:
            raise ValueError("this candidate fails")
        value = math.nan if kind == 1 else draw.random()
        return Score(value, 0.1, curve=(0.1, value), per_task=tuple(draw.random() for _ in range(20)))


def _ignore(_trial: Trial) -> None:
    pass


def state(path: Path) -> State:
    """What a store holds, which is only read."""
    with Store.open(path, readonly=True) as store:
        return store.trials(), store.told()


def carry_on(
    path: Path, acknowledge: Callable[[Trial], None] = _ignore, *, seed: int = 0, trials: int = TRIALS
) -> None:
    """Begins a search, or continues it, to its end.

    Args:
        path: File of its store.
        acknowledge: Called with each trial of which the controller was told, or that is a promotion's.
        seed: Seed of its controller.
        trials: Number of its candidates.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store.open(path) if path.exists() else Store.create(path, {}) as store, InlineExecutor() as executor:
        search(
            Switches(),
            RegularizedEvolution(Switches(), seed=seed, population=4, tournament=2),
            Digest(),
            store,
            executor,
            SearchOptions(
                trials=trials,
                budget=8,
                seed=7,
                workers=1,
                fidelity=Fidelity(rungs=3, eta=2),
                on_trial=acknowledge,
                clock=lambda: 0.0,
            ),
        )


def numbered(send: Callable[[bytes], None]) -> Callable[[Trial], None]:
    """Sends the number of each trial in a line of its own."""
    return lambda trial: send(f"{trial.number}\n".encode())


def lost(path: Path, acknowledged: list[int], whole: State) -> list[str]:
    """What is wrong with a store after its writer was killed.

    Args:
        path: Its file; where it does not exist nothing may have been acknowledged.
        acknowledged: Numbers of the trials that were acknowledged.
        whole: The state of the unbroken search.
    """
    if not path.exists():
        return [f"no store, but trials {acknowledged} were acknowledged"] if acknowledged else []
    try:
        trials, told = state(path)
    except NasError as error:
        return [f"{REFUSED}{error}"]
    finished = {trial.number: trial for trial in trials if trial.state != "pending"}
    expected = {trial.number: trial for trial in whole[0]}
    faults = [f"trial {number} is lost" for number in acknowledged if number not in finished]
    faults += [f"trial {number} is another one" for number, trial in finished.items() if trial != expected[number]]
    if len(set(acknowledged)) < len(acknowledged) or told != whole[1][: len(told)]:
        faults.append("a trial is doubled, or told in another order")
    return faults
