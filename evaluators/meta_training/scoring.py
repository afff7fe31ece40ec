"""Score of meta-trained weights: predictions after each inner step on every task of a bank, and their mean."""

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
"""Number of tasks from which on accuracies before adaptation are tested against chance."""
SAME = 1e-2
"""Largest difference of two predictions that counts as rounding, relative to the largest value: TF32 has 10 bits."""


@dataclass(frozen=True)
class Result:
    """Result of scoring a network on a bank.

    Attributes:
        value: Mean over tasks after the last inner step: accuracy in [0, 1], or minus the mean squared error.
        stderr: Standard error of that mean.
        curve: Means after 0, 1, … inner steps.
        per_task: Value of each task after the last step.
        per_class: (class, correct queries, queries) for each class that occurs; empty in regression.
        per_unit: (task, unit, correct queries, queries) for each unit of classes in each task.
        units: Name of the units in the plural.
    """

    value: float
    stderr: float
    curve: tuple[float, ...]
    per_task: tuple[float, ...]
    per_class: tuple[tuple[int, int, int], ...]
    per_unit: tuple[tuple[int, int, int, int], ...]
    units: str


def score(network: nn.Module, family: TaskFamily, learner: Learner, bank: Bank, *, chunk: int) -> Result:
    """Adapts the network to every task of a bank, with the learner's own number of steps.

    Args:
        network: The network with meta-trained weights.
        family: Source of the tasks.
        learner: The inner loop.
        bank: The bank.
        chunk: Maximum number of tasks at once.

    Returns:
        The mean over tasks, the adaptation curve, and the values by task, class and unit.

    Raises:
        NasError: Labels leak (`check_no_leak`), or adaptation diverges (`check_finite`).
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
    """Predictions (steps + 1, tasks, queries, outputs) after each inner step, for up to `chunk` tasks at once."""
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    device = next(iter(parameters.values())).device
    for start in range(0, bank.count, chunk):
        batch = draw(family, bank.split, bank.indices[start : start + chunk], device)
        # Neither learner nor network can use the queries' labels: no tensor holds them until the predictions are made.
        # Without the copy the array would keep the tensor alive.
        labels = batch.query_y.cpu().numpy().copy()
        batch = replace(batch, query_y=torch.zeros_like(batch.query_y))
        predictions = learner.adapt(network, parameters, batch, family.shape.kind, steps)
        yield predictions, replace(batch, query_y=torch.from_numpy(labels).to(device))


def check_queries_apart(network: nn.Module, family: TaskFamily, learner: Learner, bank: Bank) -> None:
    """Checks that the prediction for a query does not depend on the other queries, nor on its place among them.

    The first task of the bank is predicted again with its queries in reverse order and, unless the network normalises
    over the current batch, with its first query alone. Before training, networks are tested on small batches
    (`nas.networks.batch_order`); this test uses a batch of the scores, with the weights of the scores.

    Args:
        network: The network with its meta-trained weights.
        family: Source of the tasks.
        learner: The inner loop.
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
        reordered = replace(batch, query_x=x, query_y=y)
        return learner.adapt(network, parameters, reordered, family.shape.kind, learner.steps)

    expected = predictions(range(queries))
    for order in (list(reversed(range(queries))), *alone):
        actual, wanted = predictions(order), expected[:, :, order]
        if not torch.allclose(actual, wanted, rtol=0, atol=SAME * float(wanted.abs().max())):
            raise NasError(
                f"the prediction for a query of task {bank.first} changes when its other queries are in another order "
                "or left out; the network lets the examples of a batch see each other. Compute each output from its "
                "own example alone, and leave nn.BatchNorm2d to the evaluator's `norm`"
            )


def check_finite(predictions: Tensor, first: int) -> None:
    """Checks that predictions are finite; in classification they would otherwise count as a guess.

    Args:
        predictions: (steps, tasks, queries, outputs).
        first: Position in the bank of the first of these tasks.

    Raises:
        NasError: A prediction is not finite; the message names the first such step.
    """
    diverged = ~predictions.isfinite().flatten(2).all(dim=2)
    if bool(diverged.any()):
        step, task = diverged.nonzero()[0].tolist()
        raise NasError(
            f"adaptation diverged: a prediction for task {first + task} of the bank is not finite after inner step "
            f"{step}; take a smaller inner rate"
        )


def check_no_leak(before: Tensor, ways: int) -> None:
    """Checks that the accuracies before adaptation are those of guessing.

    A network that has seen no label of a task can only guess, if every task numbers its classes anew. For `LEAK_TASKS`
    tasks or more, a mean further than five standard errors from 1 / ways shows that labels leak.

    Args:
        before: Accuracies before adaptation, (tasks,).
        ways: Classes of a task.

    Raises:
        NasError: Labels leak.
    """
    tasks, chance = len(before), 1 / ways
    if tasks < LEAK_TASKS:
        return
    mean = float(before.mean())
    # The spread of these tasks, but at least that of one guess for each class.
    stderr = max(float(before.std()), math.sqrt(chance * (1 - chance) / ways)) / math.sqrt(tasks)
    if abs(mean - chance) > 5 * stderr:
        raise NasError(
            f"before adaptation the accuracy over {tasks} tasks is {mean:.3f}; with {ways} ways it must be near "
            f"{chance:.3f}: labels leak. Each task must number its classes in a random order of its own"
        )


def task_values(predictions: Tensor, targets: Tensor, kind: Kind) -> Tensor:
    """Accuracy of each task in [0, 1], or minus its mean squared error.

    Args:
        predictions: (steps, tasks, queries, outputs).
        targets: Labels (tasks, queries), or targets (tasks, queries, outputs).
        kind: Kind of the tasks.

    Returns:
        Values (steps, tasks).
    """
    if kind == "classification":
        return (predictions.argmax(dim=-1) == targets).float().mean(dim=-1)
    return -((predictions - targets) ** 2).mean(dim=(-2, -1))


def query_classes(predictions: Tensor, batch: TaskBatch) -> Tensor:
    """The class of each query, and 1 where its prediction is correct: (tasks * queries, 2) int64.

    Args:
        predictions: (tasks, queries, ways).
        batch: The tasks. Without classes, and in regression, the result has no rows.
    """
    if batch.classes is None or batch.query_y.is_floating_point():
        return torch.empty(0, 2, dtype=torch.int64)
    right = predictions.argmax(dim=-1) == batch.query_y
    return torch.stack([batch.classes.gather(1, batch.query_y), right], dim=-1).flatten(0, 1)


def _by_class(queries: Tensor) -> tuple[tuple[int, int, int], ...]:
    """(class, correct queries, queries) by class, from the rows of `query_classes`."""
    classes, correct = queries.unbind(dim=1)
    counts = torch.bincount(classes)
    correct_counts = torch.bincount(classes[correct == 1], minlength=len(counts))
    return tuple((c, int(correct_counts[c]), int(counts[c])) for c in counts.nonzero().flatten().tolist())


def _by_unit(queries: Tensor, tasks: int, unit_of: tuple[int, ...] | None) -> tuple[tuple[int, int, int, int], ...]:
    """(task, unit, correct queries, queries) by task and unit, from the rows of `query_classes`.

    The rows belong to `tasks` tasks with equal numbers of queries. `unit_of` has the unit of each class; it is None
    where each class is a unit.
    """
    if not len(queries):
        return ()
    classes, correct = queries.unbind(dim=1)
    units = classes if unit_of is None else torch.tensor(unit_of)[classes]
    task = torch.arange(tasks).repeat_interleave(len(queries) // tasks)
    span = int(units.max()) + 1
    keys = task * span + units
    counts = torch.bincount(keys, minlength=tasks * span)
    correct_counts = torch.bincount(keys[correct == 1], minlength=tasks * span)
    present = counts.nonzero().flatten()
    rows = zip(present.tolist(), correct_counts[present].tolist(), counts[present].tolist(), strict=True)
    return tuple((key // span, key % span, right, count) for key, right, count in rows)
