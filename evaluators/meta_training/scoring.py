"""How well meta-trained weights adapt: predictions after each inner step on every task of a bank, and their mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nas.errors import NasError
from nas.networks.batch_order import BATCH_NORMS
from nas.protocols import Grouped, Learner, TaskFamily
from nas.task import Bank, Kind, TaskBatch

from ..tasks.drawing import draw

LEAK_TASKS = 20
SAME = 1e-2
"""Largest difference of two predictions that counts as rounding, relative to the largest: TF32 has 10 bits."""


@dataclass(frozen=True)
class Result:
    """Mean over tasks after the last inner step, its standard error, the curve over steps, and each task's value.

    per_class  (class, queries right, queries asked) for each class that is in a task; empty where there are none
    per_unit   (task, unit, queries right, queries asked) for each unit of classes in each task
    units      what these units are
    """

    value: float
    stderr: float
    curve: tuple[float, ...]
    per_task: tuple[float, ...]
    per_class: tuple[tuple[int, int, int], ...]
    per_unit: tuple[tuple[int, int, int, int], ...]
    units: str


def score(network: nn.Module, family: TaskFamily, learner: Learner, bank: Bank, *, chunk: int) -> Result:
    """Adapts to every task of the bank, at most `chunk` at once, with the learner's own number of steps.

    Raises NasError where labels leak (`check_no_leak`) or adaptation diverges (`check_finite`).
    """
    kind = family.shape.kind
    parts, queries = list[Tensor](), list[Tensor]()
    for predictions, batch in adaptations(network, family, learner, bank, steps=learner.steps, chunk=chunk):
        check_finite(predictions, sum(part.shape[1] for part in parts))
        parts.append(task_values(predictions, batch.query_y, kind).double().cpu())
        queries.append(query_classes(predictions[-1], batch).cpu())
    values = torch.cat(parts, dim=1)
    if kind == "classification":
        check_no_leak(values[0], family.shape.num_outputs)
    last = values[-1]
    stderr = float(last.std() / len(last) ** 0.5) if len(last) > 1 else float("inf")
    by_query = torch.cat(queries)
    units, unit_of = family.units(bank.split) if isinstance(family, Grouped) else ("classes", None)
    return Result(
        value=float(last.mean()),
        stderr=stderr,
        curve=tuple(values.mean(dim=1).tolist()),
        per_task=tuple(last.tolist()),
        per_class=_by_class(by_query),
        per_unit=_by_unit(by_query, bank.count, unit_of),
        units=units,
    )


def adaptations(
    network: nn.Module, family: TaskFamily, learner: Learner, bank: Bank, *, steps: int, chunk: int
) -> Iterator[tuple[Tensor, TaskBatch]]:
    """Predictions (steps + 1, tasks, queries, outputs) after each inner step, and the batch, of at most `chunk` tasks
    of the bank at once."""
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    device = next(iter(parameters.values())).device
    for start in range(0, bank.count, chunk):
        batch = draw(family, bank.split, bank.indices[start : start + chunk], device)
        # Neither learner nor network can use the queries' labels: no tensor holds them until the predictions are made.
        labels = batch.query_y.cpu().numpy().copy()  # without a copy the array keeps the tensor alive
        batch = replace(batch, query_y=torch.zeros_like(batch.query_y))
        predictions = learner.adapt(network, parameters, batch, family.shape.kind, steps)
        yield predictions, replace(batch, query_y=torch.from_numpy(labels).to(device))


def check_queries_apart(network: nn.Module, family: TaskFamily, learner: Learner, bank: Bank) -> None:
    """Check that the prediction for a query does not depend on the other queries, nor on its place among them.

    The first task of the bank is predicted again with its queries in reverse order and, unless the network normalises
    over the batch at hand, with its first query alone. Before training networks are tested on small batches
    (`nas.networks.batch_order`); this test is on a batch that scores are from, with the weights that they are of.

    Args:
        network: The network with its meta-trained weights.
        family: Where the tasks come from.
        learner: Adapts the network to the task.
        bank: The bank that was scored.

    Raises:
        NasError: A prediction depends on other queries.
    """
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    device = next(iter(parameters.values())).device
    batch = draw(family, bank.split, bank.indices[:1], device)
    queries = batch.query_x.shape[1]
    alone = [] if any(isinstance(module, BATCH_NORMS) for module in network.modules()) else [[0]]

    def predictions(order: Sequence[int]) -> Tensor:
        x, y = batch.query_x[:, list(order)], torch.zeros_like(batch.query_y[:, list(order)])
        asked = replace(batch, query_x=x, query_y=y)
        return learner.adapt(network, parameters, asked, family.shape.kind, learner.steps)

    expected = predictions(range(queries))
    for order in (list(reversed(range(queries))), *alone):
        found, wanted = predictions(order), expected[:, :, order]
        if not torch.allclose(found, wanted, rtol=0, atol=SAME * float(wanted.abs().max())):
            raise NasError(
                f"the prediction for a query of task {bank.first} changes when its other queries are in another order "
                "or left out; the network lets the examples of a batch see each other. Compute each output from its "
                "own example alone, and leave nn.BatchNorm2d to the evaluator's `norm`"
            )


def check_finite(predictions: Tensor, first: int) -> None:
    """Raises NasError where predictions (steps, tasks, queries, outputs) are not finite, with the first such step.

    In classification they would count as a guess. `first` is the place in the bank of the first of the tasks.
    """
    diverged = ~predictions.isfinite().flatten(2).all(dim=2)
    if bool(diverged.any()):
        step, task = diverged.nonzero()[0].tolist()
        raise NasError(
            f"adaptation diverged: a prediction for task {first + task} of the bank is not finite after inner step "
            f"{step}; take a smaller inner rate"
        )


def check_no_leak(before: Tensor, ways: int) -> None:
    """Raises NasError where the accuracies before adaptation, (tasks,), are not those of guessing among `ways` classes.

    A network that has seen no label of a task can only guess, if every task numbers its classes anew. From
    `LEAK_TASKS` tasks on a mean further from 1 / ways than five standard errors says that labels leak.
    """
    tasks, chance = len(before), 1 / ways
    if tasks < LEAK_TASKS:
        return
    mean = float(before.mean())
    # The spread of the tasks at hand, but no less than that of one guess a class.
    stderr = max(float(before.std()), math.sqrt(chance * (1 - chance) / ways)) / math.sqrt(tasks)
    if abs(mean - chance) > 5 * stderr:
        raise NasError(
            f"before adaptation the accuracy over {tasks} tasks is {mean:.3f}; with {ways} ways it must be near "
            f"{chance:.3f}: labels leak. Each task must number its classes in a random order of its own"
        )


def task_values(predictions: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Each task's accuracy in [0, 1], or minus its mean squared error.

    predictions (steps, tasks, queries, outputs) and targets (tasks, queries[, outputs]) -> (steps, tasks)
    """
    if kind == "classification":
        return (predictions.argmax(dim=-1) == targets).float().mean(dim=-1)
    return -((predictions - targets) ** 2).mean(dim=(-2, -1))


def query_classes(predictions: Tensor, batch: TaskBatch) -> Tensor:
    """(tasks * queries, 2) int64: each query's class, and 1 where predictions (tasks, queries, ways) are right.

    No rows in regression, and where the batch names no classes.
    """
    if batch.classes is None or batch.query_y.is_floating_point():
        return torch.empty(0, 2, dtype=torch.int64)
    right = predictions.argmax(dim=-1) == batch.query_y
    return torch.stack([batch.classes.gather(1, batch.query_y), right], dim=-1).flatten(0, 1)


def _by_class(queries: Tensor) -> tuple[tuple[int, int, int], ...]:
    """(class, right, asked) of the rows of `query_classes`, by class."""
    classes, right = queries.unbind(dim=1)
    asked = torch.bincount(classes)
    rights = torch.bincount(classes[right == 1], minlength=len(asked))
    return tuple((c, int(rights[c]), int(asked[c])) for c in asked.nonzero().flatten().tolist())


def _by_unit(queries: Tensor, tasks: int, unit_of: tuple[int, ...] | None) -> tuple[tuple[int, int, int, int], ...]:
    """(task, unit, right, asked) of the rows of `query_classes`, which are of `tasks` tasks with equally many queries.

    `unit_of` has the unit of each class; None where each class is a unit.
    """
    if not len(queries):
        return ()
    classes, right = queries.unbind(dim=1)
    units = classes if unit_of is None else torch.tensor(unit_of)[classes]
    task = torch.arange(tasks).repeat_interleave(len(queries) // tasks)
    span = int(units.max()) + 1
    keys = task * span + units
    asked = torch.bincount(keys, minlength=tasks * span)
    rights = torch.bincount(keys[right == 1], minlength=tasks * span)
    found = asked.nonzero().flatten()
    rows = zip(found.tolist(), rights[found].tolist(), asked[found].tolist(), strict=True)
    return tuple((key // span, key % span, r, a) for key, r, a in rows)
