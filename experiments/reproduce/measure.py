"""One row of a reproduction with one seed: meta-trained, then measured after each number of inner steps.

A finished result is one JSON file in the work folder, and is not measured again while its settings are the same.
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
from typing import Any

import torch
from torch import Tensor, nn

from nas import config as configs
from nas.architecture import Architecture
from nas.evaluators.meta_training.devices import device_of, reproducible
from nas.evaluators.meta_training.scoring import adaptations, check_no_leak, task_values
from nas.protocols import Learner, Measurer, TaskFamily
from nas.space import sample
from nas.task import Bank

from .settings import Row


@dataclass(frozen=True)
class Result:
    """What a row gave with one seed.

    values         for each number of inner steps, as text, one value a test task (accuracy, or minus the squared error)
    rate           the inner rate that was tuned; None for the learner's own
    train_seconds  0 where the weights were there from another row
    """

    values: dict[str, list[float]]
    rate: float | None
    train_seconds: float
    seconds: float


def measured(row: Row, seed: int, work: Path) -> Result:
    """The result in the work folder, where it has these settings; else measured and written there."""
    parts = configs.build(row.config)
    evaluator: Any = parts.evaluator
    test = replace(evaluator.tasks, queries=row.test.queries)
    architecture = sample(parts.space, random.Random(0))  # of a space of one network
    settings = {
        "seed": seed,
        "space": row.config.space.model_dump(mode="json"),
        "training": evaluator.protocol(row.config.evaluator.budget, Bank("test", 0, row.test.tasks)),
        "test": {**row.test.model_dump(mode="json"), "steps": row.table.steps, "rates": row.table.rates},
    }
    settings = json.loads(json.dumps(settings))
    path = work / f"{row.name}-{seed}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):  # lost or damaged: measured again
        kept = json.loads(path.read_text("utf-8"))
        if kept["settings"] == settings:
            return Result(**kept["result"])
    weights = work / f"weights-{_digest([settings[key] for key in ('seed', 'space', 'training')])}.safetensors"
    result = _measure(row, evaluator, test, architecture, seed, weights)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"settings": settings, "result": asdict(result)}), encoding="utf-8")
    part.replace(path)
    return result


def _measure(
    row: Row, evaluator: Measurer, test: TaskFamily, architecture: Architecture, seed: int, weights: Path
) -> Result:
    began = time.perf_counter()
    budget, found = row.config.evaluator.budget, weights.exists()
    # It is scored on two tasks only because `measure` is what leaves the trained weights in a file.
    evaluator.measure(architecture, budget, seed, bank=Bank("validation", 0, 2), weights=weights)
    train_seconds = 0.0 if found else time.perf_counter() - began
    network = evaluator.trained(architecture, budget, seed, weights)
    device = device_of(row.config.search.device)
    chunk, most = int(getattr(evaluator, "chunk", 25)), max(row.table.steps)
    learner, rate = evaluator.learner, None
    with reproducible(network, device):
        if row.table.rates:
            bank = Bank("validation", 0, row.test.validation_tasks)
            rate = tuned(network, test, learner, bank, row.table.rates, steps=most, chunk=chunk)
            learner = _with_rate(learner, rate)
        values = curves(network, test, learner, Bank("test", 0, row.test.tasks), steps=most, chunk=chunk)
    kept = {str(step): values[step].tolist() for step in row.table.steps}
    return Result(kept, rate, train_seconds, time.perf_counter() - began)


def tuned(
    network: nn.Module,
    family: TaskFamily,
    learner: Learner,
    bank: Bank,
    rates: Sequence[float],
    *,
    steps: int,
    chunk: int,
) -> float:
    """The inner rate with the best mean over the bank after the last step; one that diverges is never it."""
    means = []
    for rate in rates:
        last = curves(network, family, _with_rate(learner, rate), bank, steps=steps, chunk=chunk)[-1]
        mean = float(last.mean())
        means.append(mean if math.isfinite(mean) else -math.inf)
    return rates[means.index(max(means))]


def curves(network: nn.Module, family: TaskFamily, learner: Learner, bank: Bank, *, steps: int, chunk: int) -> Tensor:
    """Each task's value after 0, 1, …, `steps` inner steps: (steps + 1, tasks) float64 on the CPU.

    Raises NasError where labels leak.
    """
    kind = family.shape.kind
    parts = [
        task_values(predictions, batch.query_y, kind).double().cpu()
        for predictions, batch in adaptations(network, family, learner, bank, steps=steps, chunk=chunk)
    ]
    values = torch.cat(parts, dim=1)
    if kind == "classification":
        check_no_leak(values[0], family.shape.num_outputs)
    return values


def _with_rate(learner: Learner, rate: float) -> Learner:
    changed: Learner = replace(learner, inner_lr=rate)  # type: ignore[type-var]  # a learner with rates is a dataclass
    return changed


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
