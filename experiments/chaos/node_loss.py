"""Loss of nodes: a search on a Ray cluster whose nodes are killed is the same search in worker processes."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from nas.architecture import Architecture
from nas.controllers.random_search import RandomSearch
from nas.executors import ProcessExecutor
from nas.executors.ray_cluster import RaySlots
from nas.executors.ray_executor import RayExecutor
from nas.search import search
from nas.search.options import SearchOptions
from nas.store import Store
from nas.testing.toy_spaces import Vast
from nas.trial import Score, Trial

from ..command_line import show_progress
from .figures import Figure, Settings
from .ray_nodes import RayCluster, ray_cluster

NODES = 2
TRIALS_A_KILL = 30
"""Candidates for each node that is killed."""
EVALUATION_S = 0.2
"""Duration of an evaluation, in seconds."""


@dataclass(frozen=True)
class Slow:
    """An evaluator that takes its time and gives a number that depends on the candidate alone.

    Attributes:
        seconds: Duration of an evaluation.
    """

    seconds: float

    def evaluate(self, architecture: Architecture, budget: int, seed: int) -> Score:
        time.sleep(self.seconds)
        return Score(random.Random(architecture.key).random(), 0.0)


def measure(settings: Settings) -> list[Figure]:
    """The figures of this part; none where Ray is not installed."""
    if find_spec("ray") is None:
        show_progress("node_loss is not tried: it needs pip install 'adaptnas[ray]'")
        return []
    kills = 20 if settings.full else 2
    trials = kills * TRIALS_A_KILL
    with ProcessExecutor(NODES) as processes:
        expected = outcomes(settings.folder / "processes.sqlite", processes, trials, settings.seed)
    rng = random.Random(settings.seed)
    with ray_cluster(settings.folder, NODES) as cluster, _losses() as losses:
        executor = RayExecutor(RaySlots(NODES, "cpu"), address=cluster.address)
        killer = _Killer(cluster, kills, rng)
        try:
            found = outcomes(settings.folder / "ray.sqlite", executor, trials, settings.seed, killer)
        finally:
            executor.shutdown()
    lost = sorted(set(expected) - set(found))
    doubled = len(found) - len(set(found))
    different = [number for number in found if found[number] != expected.get(number)]
    faults = (*(f"#{n} is lost" for n in lost), *(f"#{n}: {found[n]}, and not {expected.get(n)}" for n in different))
    return [
        Figure(
            "nodes of a Ray cluster killed in the middle of a search",
            f"{kills} kills; no trial lost, none doubled, all as in worker processes",
            f"{killer.killed} kills, {losses.count} of them of a node with a running candidate; {len(found)} trials: "
            f"{len(lost)} lost, {doubled} doubled, {len(different)} others",
            killer.killed == kills and losses.count > kills // 2 and not faults and not doubled,
            faults[:20],
        )
    ]


def outcomes(store: Path, executor: Executor, trials: int, seed: int, killer: _Killer | None = None) -> dict[int, str]:
    """A search's candidates by number: architecture, state and score."""
    heard: list[int] = []

    def on_trial(trial: Trial) -> None:
        heard.append(trial.number)
        if killer is not None:
            killer.on_trial(len(heard))

    space = Vast()
    options = SearchOptions(
        trials=trials, budget=1, seed=seed, workers=NODES, duplicates="evaluated", on_trial=on_trial
    )
    with Store.create(store, {}) as opened:
        search(space, RandomSearch(space=space, seed=seed), Slow(EVALUATION_S), opened, executor, options)
        ended = opened.trials()
    assert sorted(heard) == [trial.number for trial in ended]
    return {t.number: f"{t.architecture.key} {t.state} {t.value if t.score else t.error}" for t in ended}


class _Losses(logging.Handler):
    """Counts the slots that the executor says to have lost."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "was lost" in record.getMessage()


@contextmanager
def _losses() -> Iterator[_Losses]:
    handler, logger = _Losses(), logging.getLogger("nas.executors.ray_executor")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


class _Killer:
    """Kills a node after every few candidates, in the middle of one, and starts another.

    Args:
        cluster: The cluster.
        kills: Number of nodes to kill.
        rng: Draws of which node, and when.
    """

    def __init__(self, cluster: RayCluster, kills: int, rng: random.Random) -> None:
        self._cluster, self._kills, self._rng = cluster, kills, rng
        self.killed = 0

    def on_trial(self, ended: int) -> None:
        """Kills a node where it is time for it."""
        if self.killed < self._kills and ended >= self.killed * TRIALS_A_KILL + TRIALS_A_KILL // 2:
            time.sleep(self._rng.uniform(0, EVALUATION_S))
            node = self._cluster.nodes.pop(self._rng.randrange(NODES))
            node.kill_raylet()
            self.killed += 1
            node.end()
            self._cluster.nodes.append(self._cluster.start_node())
