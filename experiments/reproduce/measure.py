"""Measurement of one row of a reproduction with one seed: meta-training, then adaptation step by step.

A finished result is a JSON file in the work folder, and is not measured again while its settings are the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from nas import config as configs
from nas.evaluators.losses import task_losses
from nas.evaluators.meta_training.devices import device_of, reproducible
from nas.evaluators.meta_training.scoring import adaptations, check_no_leak, task_values
from nas.protocols import Learner, TaskFamily
from nas.space import sample
from nas.task import Bank

from ..meta_evaluator import meta_evaluator
from .settings import Row


@dataclass(frozen=True)
class Result:
    """Result of a row with one seed.

    Attributes:
        values: By number of inner steps, as text: one value a test task (accuracy, or minus the squared error).
        losses: By number of inner steps, as text: the mean loss on the queries of the test tasks.
        rate: Tuned inner rate; None for the learner's own.
        train_seconds: Seconds of meta-training, on the CPU those of the processor in all threads, which other programs
            hardly disturb; 0 if another row had left the same weights.
        seconds: Seconds of the whole measurement.
    """

    values: dict[str, list[float]]
    losses: dict[str, float]
    rate: float | None
    train_seconds: float
    seconds: float


@dataclass(frozen=True)
class Curves:
    """Each task after each number of inner steps: tensors (steps + 1, tasks), float64 on the CPU.

    Attributes:
        values: Accuracies, or minus squared errors.
        losses: Mean losses on the queries (`task_losses`).
    """

    values: Tensor
    losses: Tensor


@dataclass(frozen=True)
class Adaptation:
    """Trained network, and how it adapts to tasks.

    Attributes:
        network: Network with its trained weights.
        family: Tasks to adapt to.
        steps: Number of inner steps.
        chunk: Number of tasks computed at once.
    """

    network: nn.Module
    family: TaskFamily
    steps: int
    chunk: int


def measured(row: Row, seed: int, work: Path) -> Result:
    """The result of a row: that of the work folder if its settings are the same, else measured and written there."""
    evaluator = meta_evaluator(row.config)
    settings = {
        "seed": seed,
        "space": row.config.space.model_dump(mode="json"),
        "training": evaluator.protocol(row.config.evaluator.budget, Bank("test", 0, row.test.tasks)),
        "test": {**row.test.model_dump(mode="json"), "steps": row.table.steps, "rates": row.table.rates},
    }
    settings = json.loads(json.dumps(settings))
    path = work / f"{row.name}-{seed}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):  # a missing or damaged file is measured again
        kept = json.loads(path.read_text("utf-8"))
        if kept["settings"] == settings:
            return Result(**kept["result"])
    weights = work / f"weights-{_digest([settings[key] for key in ('seed', 'space', 'training')])}.safetensors"
    result = _measure(row, seed, weights)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps({"settings": settings, "result": asdict(result)}), encoding="utf-8")
    unfinished.replace(path)
    return result


def _measure(row: Row, seed: int, weights: Path) -> Result:
    began = time.perf_counter()
    clock = time.process_time if device_of(row.config.search.device).type == "cpu" else time.perf_counter
    training_began = clock()
    evaluator, budget, trained = meta_evaluator(row.config), row.config.evaluator.budget, weights.exists()
    architecture = sample(configs.build(row.config).space, random.Random(0))  # the space has one network
    # Scoring on two tasks is of no interest, but `measure` is the method that writes the trained weights to a file.
    evaluator.measure(architecture, budget, seed, bank=Bank("validation", 0, 2), weights=weights)
    train_seconds = 0.0 if trained else clock() - training_began
    network = evaluator.trained(architecture, budget, seed, weights)
    test = replace(evaluator.tasks, queries=row.test.queries)  # type: ignore[type-var]  # families are dataclasses
    adaptation = Adaptation(network, test, max(row.table.steps), evaluator.chunk)
    learner, rate = evaluator.learner, None
    with reproducible(network, device_of(row.config.search.device)):
        if row.table.rates:
            rate = tuned(adaptation, learner, Bank("validation", 0, row.test.validation_tasks), row.table.rates)
            learner = _with_rate(learner, rate)
        test_curves = curves(adaptation, learner, Bank("test", 0, row.test.tasks))
    values = {str(step): test_curves.values[step].tolist() for step in row.table.steps}
    losses = {str(step): float(test_curves.losses[step].mean()) for step in row.table.steps}
    return Result(values, losses, rate, train_seconds, time.perf_counter() - began)


def tuned(adaptation: Adaptation, learner: Learner, bank: Bank, rates: Sequence[float]) -> float:
    """The inner rate with the best mean value over the bank after the last step; never one that diverges."""
    means = []
    for rate in rates:
        mean = float(curves(adaptation, _with_rate(learner, rate), bank).values[-1].mean())
        means.append(mean if math.isfinite(mean) else -math.inf)
    return rates[means.index(max(means))]


def curves(adaptation: Adaptation, learner: Learner, bank: Bank) -> Curves:
    """The value and the loss of each task after each number of inner steps.

    Args:
        adaptation: Network and tasks.
        learner: Learner that adapts it.
        bank: Tasks to measure on.

    Returns:
        Values and losses of all tasks of the bank.

    Raises:
        NasError: Labels leak: the network is better than guessing before it has adapted.
    """
    network, family = adaptation.network, adaptation.family
    kind = family.shape.kind
    values, losses = list[Tensor](), list[Tensor]()
    for predictions, batch in adaptations(
        network, family, learner, bank, steps=adaptation.steps, chunk=adaptation.chunk
    ):
        values.append(task_values(predictions, batch.query_y, kind).double().cpu())
        losses.append(torch.stack([task_losses(kind, each, batch.query_y) for each in predictions]).double().cpu())
    found = Curves(torch.cat(values, dim=1), torch.cat(losses, dim=1))
    if kind == "classification":
        check_no_leak(found.values[0], family.shape.num_outputs)
    return found


def _with_rate(learner: Learner, rate: float) -> Learner:
    changed: Learner = replace(learner, inner_lr=rate)  # type: ignore[type-var]  # a learner with rates is a dataclass
    return changed


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
