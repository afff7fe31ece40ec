"""Searches of a toy space with every controller, whose stores are copied after each write."""

from __future__ import annotations

import math
import os
import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import networkx as nx

from nas.architecture import Architecture
from nas.choose import Choose
from nas.executors import InlineExecutor
from nas.protocols import Controller, Evaluator
from nas.protocols.controllers import Trials, Watched
from nas.registry import components
from nas.search import SearchOptions, search
from nas.search.fidelity import Fidelity
from nas.store import Store
from nas.testing.toy_spaces import WithoutNetworks
from nas.trial import Score, Trial

P = ParamSpec("P")
T = TypeVar("T")
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "evolution": {"population": 8, "tournament": 2, "first": 5, "pool": 20},
    "reinforce": {"batch": 3, "first": 5, "pool": 20},
    "optuna:tpe": {"n_startup_trials": 3},
    "regularized-evolution": {"population": 6, "tournament": 2},
    "zoph-le": {"lr": 0.05, "batch": 3, "hidden": 8, "layers": 1},
}
"""Small populations, batches and networks, so that controllers learn from few candidates."""
MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one."""


class Counts(WithoutNetworks):
    """112 networks in 1,024 architectures: of six choices only the number of ones counts; four more count each."""

    name = "counts"

    def decide(self, choose: Choose) -> tuple[int, ...]:
        return tuple(choose(f"bit{place}", (0, 1)) for place in range(10))

    def graph(self, spec: tuple[int, ...]) -> nx.DiGraph:
        cell = nx.DiGraph(last=spec[6:])
        cell.add_node("in", op="input")
        cell.add_node("out", op="output")
        for place, value in enumerate(spec[:6]):
            cell.add_node(place, op="conv" if value else "none")
            cell.add_edge("in", place)
            cell.add_edge(place, "out")
        return cell


@dataclass(frozen=True)
class Toy:
    """Scores the picks and the budget; one candidate in eight raises, and one in sixteen has no finite score."""

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        bits = [architecture.picks[f"bit{place}"] for place in range(10)]
        if bits[6] and bits[7] and bits[8]:
            raise ValueError("three ones are not liked")
        value = math.nan if not any(bits[6:]) else sum(bits) / 7 + math.sin(budget + bits[0]) / 3
        return Score(
            value, 0.1, (0.1, value), (value / 3,), {"params": float(sum(bits))}, {"ways": 5, "budget": budget}
        )


@dataclass(frozen=True)
class ToyTable(Toy):
    """The same scores as a table, of which proposals are stored with their results."""

    def check(self, architecture: Architecture) -> None:
        """Accepts every architecture."""

    def seconds(self, architecture: Architecture, budget: int) -> float:
        return float(budget)

    def reported(self, architecture: Architecture, budget: int) -> float:
        return 0.0


class Shuffled(Executor):
    """Ends one call at a time, drawn among those that run; there are at most `workers`."""

    def __init__(self, workers: int, seed: int) -> None:
        self._workers, self._rng = workers, random.Random(seed)
        self._waiting: list[tuple[Future[Any], Future[Any]]] = []
        self._inline = InlineExecutor()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._waiting.append((future, self._inline.submit(fn, *args, **kwargs)))
        if len(self._waiting) == self._workers:
            self.end_one()
        return future

    def end_one(self) -> None:
        """Ends one of the calls that run, if there is one."""
        if self._waiting:
            outer, inner = self._waiting.pop(self._rng.randrange(len(self._waiting)))
            error = inner.exception()
            if error is None:
                outer.set_result(inner.result())
            else:
                outer.set_exception(error)


@dataclass
class Copied:
    """A store whose content is copied after each of its writes.

    Attributes:
        store: The store.
        copies: Its content after each write, as the bytes of a SQLite file.
    """

    store: Store
    copies: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._copy()

    def trials(self) -> list[Trial]:
        return self.store.trials()

    def pending(self) -> list[Trial]:
        return self.store.pending()

    def promoted(self) -> set[int]:
        return self.store.promoted()

    def replay(self, controller: Controller) -> None:
        self.store.replay(controller)

    def propose(
        self, architectures: Sequence[Architecture], budget: int, seed: int, *, later: bool = False
    ) -> list[Trial]:
        trials = self.store.propose(architectures, budget, seed, later=later)
        self._copy()
        return trials

    def propose_duplicate(self, architecture: Architecture, first: Trial, *, later: bool = False) -> Trial:
        trial = self.store.propose_duplicate(architecture, first, later=later)
        self._copy()
        return trial

    def promote(self, trial: Trial, budget: int) -> Trial:
        promoted = self.store.promote(trial, budget)
        self._copy()
        return promoted

    def finish(self, trial: Trial) -> bool:
        finished = self.store.finish(trial)
        self._copy()
        return finished

    def _copy(self) -> None:
        copy = content(self.store.path)
        if not self.copies or copy != self.copies[-1]:
            self.copies.append(copy)


@dataclass(frozen=True)
class Ended:
    """End of a search.

    Attributes:
        end: 'done', 'exhausted' or 'interrupted'.
        controller: The state of its controller then.
    """

    end: str
    controller: dict[str, Any]


@dataclass(frozen=True)
class ToySearch:
    """A search of the toy space by rungs, with duplicates and failures.

    Attributes:
        controller: Name of the controller.
        evaluator: The evaluator.
        trials: Number of candidates.
        workers: Candidates at a time.
        seed: Seed of the controller.
    """

    controller: str
    evaluator: Evaluator = field(default_factory=Toy)
    trials: int = 16
    workers: int = 1
    seed: int = 0

    def run(self, store: Trials, order: int = 0) -> Ended:
        """Carries out the search, or the rest of it.

        Args:
            store: Its store.
            order: Seed of the order in which candidates end, where there are several workers.

        Returns:
            How it ended.
        """
        controller = self.fresh()
        executor: Executor = InlineExecutor() if self.workers == 1 else Shuffled(self.workers, order)

        def stop() -> bool:
            if isinstance(executor, Shuffled):
                executor.end_one()
            return False

        options = SearchOptions(
            trials=self.trials,
            budget=8,
            seed=7,
            workers=self.workers,
            fidelity=Fidelity(rungs=3, eta=2),
            stop=stop,
            max_failures_in_a_row=1000,
            clock=lambda: 0.0,
        )
        end = search(Counts(), controller, self.evaluator, store, executor, options)
        return Ended(end, state_of(controller))

    def fresh(self) -> Controller:
        """The controller before the search."""
        options = OPTIONS.get(self.controller, {})
        made: Controller = components.create("controller", self.controller, options, space=Counts(), seed=self.seed)
        return made


def state_of(controller: Controller) -> dict[str, Any]:
    """What can be seen of a controller's state: its numbers, and what it proposes next."""
    measured = dict(controller.measurements()) if isinstance(controller, Watched) else {}
    return {"measurements": measured, "next": controller.ask(8)}


def content(path: Path) -> bytes:
    """The committed content of a store that may be open, as the bytes of a SQLite file."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.serialize()


def rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a closed store's tables, with their checksums."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return {
            "trials": connection.execute("SELECT * FROM trials ORDER BY number").fetchall(),
            "records": connection.execute("SELECT * FROM records ORDER BY key").fetchall(),
        }


def controllers() -> list[str]:
    """The names of the registry's controllers, and one of Optuna's samplers where it is installed."""
    return [*components.names("controller"), *(["optuna:tpe"] if find_spec("optuna") else [])]


def quick_folder(default: Path) -> str:
    """A folder in memory where there is one: what is tried there is not the disk."""
    return str(MEMORY if os.access(MEMORY, os.W_OK) else default)
