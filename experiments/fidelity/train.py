"""Trainings of the fidelity study: random cells, and one cell's scores at the rungs of a series."""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch

from nas import config as configs
from nas.architecture import Architecture
from nas.config import Config
from nas.errors import ConfigError, DataError, NasError
from nas.evaluators import MetaEvaluator
from nas.evaluators.meta_training.devices import device_of, reproducible
from nas.evaluators.meta_training.outer_loop import MetaTraining, OuterLoop
from nas.evaluators.meta_training.scoring import score
from nas.evaluators.networks.profile import size
from nas.evaluators.networks.weights import attach
from nas.space import sample
from nas.task import Bank

from ..meta_evaluator import meta_evaluator
from .settings import CellsTable

MOST_DRAWS = 10_000
"""Largest number of random cells that are tried."""


@dataclass(frozen=True)
class Cell:
    """Cell with its numbers of parameters and FLOPs."""

    architecture: Architecture
    parameters: float
    flops: float


@dataclass(frozen=True)
class Job:
    """Meta-training of one cell in one series, with one seed.

    Attributes:
        series: Name of the series.
        cell: Architecture to train.
        seed: Seed of the weights and of the training tasks.
        config: Config of the series.
        rungs: Outer steps after which the cell is scored, ascending.
        own: Whether each rung has a training of its own, annealed to it.
    """

    series: str
    cell: Architecture
    seed: int
    config: Config
    rungs: tuple[int, ...]
    own: bool

    @property
    def key(self) -> str:
        """Digest of everything that the result depends on."""
        table = self.config.model_dump(mode="json")
        table["tasks"].pop("path", None)
        parts = [table, self.cell.to_json(), self.seed, self.rungs, self.own]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def steps(self) -> int:
        """Number of outer steps of all its trainings."""
        return sum(self.rungs) if self.own else self.rungs[-1]


@dataclass(frozen=True)
class Rung:
    """Score of a cell at one rung.

    Attributes:
        value: Mean accuracy over the bank, in [0, 1]; None if meta-training diverged.
        per_task: Accuracy on each task of the bank; empty if meta-training diverged.
        seconds: Processor time of the outer steps up to this rung and of one scoring.
    """

    value: float | None
    per_task: tuple[float, ...]
    seconds: float


Rungs = dict[str, Rung]
"""Scores of a job by the number of outer steps, as text."""


class Line(TypedDict):
    """JSON line of a finished job: its key, what it trained, and its rungs as JSON objects."""

    key: str
    series: str
    cell: dict[str, Any]
    seed: int
    rungs: dict[str, dict[str, Any]]


def draw_cells(config: Config, table: CellsTable, count: int) -> list[Cell]:
    """The first `count` different random cells within the limits.

    Raises:
        ConfigError: Too few random cells are within the limits.
    """
    parts = configs.build(config)
    rng, cells, seen = random.Random(table.seed), list[Cell](), set[Architecture]()
    for _ in range(MOST_DRAWS):
        if len(cells) == count:
            return cells
        architecture = sample(parts.space, rng)
        if architecture in seen:
            continue
        seen.add(architecture)
        metrics = size(parts.measurer.network(architecture, seed=0), parts.measurer.tasks.shape)
        cell = Cell(architecture, metrics["parameters"], metrics["flops"])
        if _within(cell.parameters, table.parameters) and _within(cell.flops, table.flops):
            cells.append(cell)
    raise ConfigError(
        f"of {MOST_DRAWS} random cells only {len(cells)} are different and have {table.parameters or 'any'} parameters "
        f"and {table.flops or 'any'} FLOPs; widen these limits, or ask for fewer cells"
    )


def one_thread() -> None:
    """Limit torch to one thread: a process for each core is faster than a thread for each."""
    torch.set_num_threads(1)


def train(job: Job) -> Line:
    """Train and score a job's cell, in a worker process."""
    runs = [[rung] for rung in job.rungs] if job.own else [job.rungs]
    rungs = {str(steps): asdict(rung) for run in runs for steps, rung in _train_through(job, run).items()}
    return {"key": job.key, "series": job.series, "cell": job.cell.to_json(), "seed": job.seed, "rungs": rungs}


def finished(path: Path) -> dict[str, Rungs]:
    """The finished jobs of a file, by key. Damaged lines are skipped: a kill may leave the last one unfinished."""
    by_key = {}
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.exists() else ():
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            data = json.loads(line)
            by_key[data["key"]] = {steps: _rung(rung) for steps, rung in data["rungs"].items()}
    return by_key


def seconds_of(job: Job, *, steps: int, tasks: int) -> float:
    """An estimate of a job's processor time, from `steps` outer steps and a scoring of `tasks` tasks."""
    evaluator = meta_evaluator(job.config)
    network = evaluator.network(job.cell, job.seed)
    attach(network, evaluator.learner.initial(network, evaluator.tasks))
    training = MetaTraining(network, evaluator.tasks, evaluator.learner, _loop(evaluator, steps + 1), job.seed)
    training.advance(1)
    began = time.process_time()
    training.advance(steps + 1)
    trained = time.process_time()
    score(network, evaluator.tasks, evaluator.learner, Bank("validation", 0, tasks), chunk=tasks)
    scored = time.process_time()
    scorings = len(job.rungs) * evaluator.validation_tasks
    return (trained - began) / steps * job.steps + (scored - trained) / tasks * scorings


def _train_through(job: Job, rungs: Sequence[int]) -> Mapping[int, Rung]:
    """The scores of one meta-training at each of its rungs, by outer steps."""
    evaluator = meta_evaluator(job.config)
    network = evaluator.network(job.cell, job.seed)
    bank = Bank("validation", 0, evaluator.validation_tasks)
    scores: dict[int, Rung] = {}
    with reproducible(network, device_of(evaluator.device)):
        attach(network, evaluator.learner.initial(network, evaluator.tasks))
        training = MetaTraining(network, evaluator.tasks, evaluator.learner, _loop(evaluator, rungs[-1]), job.seed)
        spent = 0.0
        for rung in rungs:
            began = time.process_time()
            try:
                training.advance(rung)
                trained = time.process_time()
                result = score(network, evaluator.tasks, evaluator.learner, bank, chunk=evaluator.chunk)
            except (ConfigError, DataError):  # not caused by the cell, so not kept as its result
                raise
            except NasError:
                diverged = Rung(None, (), spent + time.process_time() - began)
                return {**scores, **dict.fromkeys([step for step in rungs if step not in scores], diverged)}
            scores[rung] = Rung(result.value, result.per_task, spent + time.process_time() - began)
            spent += trained - began
    return scores


def _loop(evaluator: MetaEvaluator, budget: int) -> OuterLoop:
    return OuterLoop(budget, evaluator.tasks_per_step, evaluator.train_queries, evaluator.anneal)


def _rung(data: Mapping[str, Any]) -> Rung:
    return Rung(data["value"], tuple(data["per_task"]), data["seconds"])


def _within(value: float, limits: Iterable[float] | None) -> bool:
    low, high = limits or (0, math.inf)
    return low <= value <= high
