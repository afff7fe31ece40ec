"""Cells of about one size, and one cell's way through the rungs of a series: what a worker process does."""

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
from typing import Any

import torch

from nas import config as configs
from nas.architecture import Architecture
from nas.config import Config
from nas.errors import ConfigError, DataError, NasError
from nas.evaluators.meta_training.devices import device_of, reproducible
from nas.evaluators.meta_training.outer_loop import MetaTraining, OuterLoop
from nas.evaluators.meta_training.scoring import score
from nas.evaluators.networks.profile import size
from nas.evaluators.networks.weights import attach
from nas.space import sample
from nas.task import Bank

from .settings import CellsTable

MOST_DRAWS = 10_000


@dataclass(frozen=True)
class Cell:
    """A cell and its size."""

    architecture: Architecture
    parameters: float
    flops: float


@dataclass(frozen=True)
class Job:
    """One cell's meta-training in one series, with one seed."""

    series: str
    cell: Architecture
    seed: int
    config: Config
    rungs: tuple[int, ...]
    own: bool

    @property
    def key(self) -> str:
        """A digest of all that the result depends on."""
        table = self.config.model_dump(mode="json")
        table["tasks"].pop("path", None)
        value = [table, self.cell.to_json(), self.seed, self.rungs, self.own]
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def steps(self) -> int:
        """The outer steps it takes."""
        return sum(self.rungs) if self.own else self.rungs[-1]


@dataclass(frozen=True)
class Rung:
    """A cell's score at a rung.

    value     mean accuracy over the bank; None where meta-training diverged
    per_task  each task's accuracy
    seconds   of one core, for the outer steps up to here and one scoring
    """

    value: float | None
    per_task: tuple[float, ...]
    seconds: float


def draw_cells(config: Config, table: CellsTable, count: int) -> list[Cell]:
    """The first `count` different cells within the limits. Raises ConfigError where hardly any is."""
    parts = configs.build(config)
    rng, found, seen = random.Random(table.seed), list[Cell](), set[Architecture]()
    for _ in range(MOST_DRAWS):
        if len(found) == count:
            return found
        architecture = sample(parts.space, rng)
        if architecture in seen:
            continue
        seen.add(architecture)
        metrics = size(parts.measurer.network(architecture, seed=0), parts.measurer.tasks.shape)
        cell = Cell(architecture, metrics["parameters"], metrics["flops"])
        if _within(cell.parameters, table.parameters) and _within(cell.flops, table.flops):
            found.append(cell)
    raise ConfigError(
        f"of {MOST_DRAWS} random cells only {len(found)} are different and have {table.parameters or 'any'} parameters "
        f"and {table.flops or 'any'} FLOPs; widen these limits, or ask for fewer cells"
    )


def one_thread() -> None:
    """For a worker process: as many processes as cores are faster than as many threads."""
    torch.set_num_threads(1)


def train(job: Job) -> dict[str, Any]:
    """The line of a job: its key, and for each rung what `Rung` says."""
    runs = [[rung] for rung in job.rungs] if job.own else [job.rungs]
    rungs = {str(steps): asdict(rung) for run in runs for steps, rung in _through(job, run).items()}
    return {"key": job.key, "series": job.series, "cell": job.cell.to_json(), "seed": job.seed, "rungs": rungs}


def finished(path: Path) -> dict[str, dict[str, Rung]]:
    """The lines of a file by their jobs' keys. A line that is damaged, as the last by a kill, does not count."""
    found = {}
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.exists() else ():
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            data = json.loads(line)
            found[data["key"]] = {steps: _rung(rung) for steps, rung in data["rungs"].items()}
    return found


def seconds_of(job: Job, *, steps: int, tasks: int) -> float:
    """About how long a job takes, from `steps` outer steps and a scoring of `tasks` tasks."""
    evaluator: Any = configs.build(job.config).evaluator
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
    estimate: float = (trained - began) / steps * job.steps + (scored - trained) / tasks * scorings
    return estimate


def _through(job: Job, rungs: Sequence[int]) -> Mapping[int, Rung]:
    evaluator: Any = configs.build(job.config).evaluator
    network = evaluator.network(job.cell, job.seed)
    bank = Bank("validation", 0, evaluator.validation_tasks)
    found: dict[int, Rung] = {}
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
            except (ConfigError, DataError):  # not the cell's doing, and not to be kept as its result
                raise
            except NasError:
                lost = Rung(None, (), spent + time.process_time() - began)
                return {**found, **dict.fromkeys([step for step in rungs if step not in found], lost)}
            found[rung] = Rung(result.value, result.per_task, spent + time.process_time() - began)
            spent += trained - began
    return found


def _loop(evaluator: Any, budget: int) -> OuterLoop:
    return OuterLoop(budget, evaluator.tasks_per_step, evaluator.train_queries, evaluator.anneal)


def _rung(data: Mapping[str, Any]) -> Rung:
    return Rung(data["value"], tuple(data["per_task"]), data["seconds"])


def _within(value: float, limits: Iterable[float] | None) -> bool:
    low, high = limits or (0, math.inf)
    return low <= value <= high
