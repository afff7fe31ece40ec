"""What gradient-based learners share: the inner steps of many tasks at once, and what they make of the queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from nas.bounds import LARGEST_RATE, check_number
from nas.protocols import LEARNER
from nas.task import Kind, TaskBatch

from ..losses import task_losses
from ..networks.normalisation import queries_told
from .vectorised.channels_last import call_examples
from .vectorised.per_task_weights import Parameters, call_tasks

Rates = Mapping[str, Tensor | float]
InnerOptimizer = Literal["sgd", "adam"]
Reduction = Literal["mean", "sum"]
MOST_STEPS = 10_000
"""The most inner steps: a hundred times those of any published learner. Training by them keeps all in memory."""
BETA2, EPSILON, SMALLEST_SQUARE = 0.999, 1e-8, 1e-30
ONE_BY_ONE = 2**16
"""From this many queries of a task times parameters on, a CPU is faster with one task's images after the other's."""


class AdamState(NamedTuple):
    """What Adam without momentum keeps from step to step.

    squares  running means of the squared gradients, by name; a name that is missing has had no step
    taken    the steps taken: a whole number, or a tensor () of one
    """

    squares: Parameters
    taken: int | Tensor


NO_STEPS = AdamState({}, 0)


class Adapted(NamedTuple):
    """Where each task is after some inner steps.

    parameters  by name (tasks, *shape)
    adam        the state of each task's optimizer, (tasks, *shape); in SGD it stays empty
    """

    parameters: Parameters
    adam: AdamState


@dataclass(frozen=True)
class Descent:
    """Gradient descent on each task: how the inner loop of MAML and its kin goes.

    Parameters are by name (tasks, *shape). The rates are those of what moves: numbers, or tensors (*shape) or scalars.

    steps        how many
    first_order  the gradient is detached: the outer gradient then takes each step as a constant shift (Finn et al.,
                 arXiv 1703.03400, section 5.2)
    optimizer    sgd: plain gradient descent; adam: Adam (Kingma & Ba, arXiv 1412.6980) without momentum (β1 = 0), as in
                 Reptile's experiments
    reduction    the loss is the mean over a task's support set, or its sum
    """

    network: nn.Module
    kind: Kind
    steps: int
    first_order: bool
    optimizer: InnerOptimizer = "sgd"
    reduction: Reduction = "mean"

    def start(self, parameters: Parameters, batch: TaskBatch, adam: AdamState = NO_STEPS) -> Adapted:
        """All tasks at the same parameters and the same state of the optimizer, both (*shape)."""
        return Adapted(for_each_task(parameters, batch), AdamState(for_each_task(adam.squares, batch), adam.taken))

    def step(self, at: Adapted, rates: Rates, x: Tensor, y: Tensor) -> tuple[Adapted, Tensor]:
        """After one step on the examples, and each task's mean loss before it (tasks,).

        Parameters that have no rate stay as they are.
        """
        with torch.enable_grad():
            moving = {name: at.parameters[name] for name in rates}
            if self.first_order:
                moving = {name: p.detach().requires_grad_() for name, p in moving.items()}
            predictions = call_tasks(self.network, {**at.parameters, **moving}, x, {})
            losses = task_losses(self.kind, predictions, y)
            loss = losses.sum() * (y[0].numel() if self.reduction == "sum" else 1)
            gradients = torch.autograd.grad(
                loss, list(moving.values()), create_graph=not self.first_order, materialize_grads=True
            )
        by_name = dict(zip(moving, gradients, strict=True))
        adam = at.adam
        if self.optimizer == "adam":
            squares = {name: _running(adam.squares.get(name), gradient) for name, gradient in by_name.items()}
            adam = AdamState(squares, adam.taken + 1)
            by_name = {name: _scaled(gradient, squares[name], adam.taken) for name, gradient in by_name.items()}
        moved = {name: _moved(at.parameters[name], rates[name], gradient) for name, gradient in by_name.items()}
        return Adapted({**at.parameters, **moved}, adam), losses.detach()

    def adapted(self, parameters: Parameters, rates: Rates, batch: TaskBatch) -> Parameters:
        """From parameters (*shape) each task's (tasks, *shape) after all steps on its support set."""
        at = self.start(parameters, batch)
        for _ in range(self.steps):
            at, _ = self.step(at, rates, batch.support_x, batch.support_y)
        return at.parameters

    def predictions(self, parameters: Parameters, rates: Rates, batch: TaskBatch, adam: AdamState = NO_STEPS) -> Tensor:
        """From parameters of shape (*shape) predictions for the queries after 0, 1, …, `steps` steps:
        (steps + 1, tasks, queries, outputs). Each task starts from the same state of the optimizer."""
        with torch.no_grad():
            at = self.start(parameters, batch, adam)
            curve = [call_queries(self.network, at.parameters, batch)]
            for _ in range(self.steps):
                at, _ = self.step(at, rates, batch.support_x, batch.support_y)
                curve.append(call_queries(self.network, at.parameters, batch))
            return torch.stack(curve)


def _running(squares: Tensor | None, gradient: Tensor) -> Tensor:
    new = (1 - BETA2) * gradient * gradient
    return new if squares is None else BETA2 * squares + new


def _scaled(gradient: Tensor, squares: Tensor, taken: int | Tensor) -> Tensor:
    begun: float | Tensor = 1 - BETA2**taken
    if isinstance(begun, Tensor):
        begun = begun.to(squares.dtype)
    # The bound changes no value, but the root of zero has no derivative, and zero times that is not a number.
    root = (squares / begun).clamp(min=SMALLEST_SQUARE).sqrt()
    return gradient / (root + EPSILON)


def _moved(p: Tensor, rate: Tensor | float, gradient: Tensor) -> Tensor:
    if isinstance(rate, Tensor):
        return p - rate * gradient
    return torch.add(p, gradient, alpha=-rate)


def for_each_task(parameters: Parameters, batch: TaskBatch) -> dict[str, Tensor]:
    """The same parameters for all tasks: (tasks, *shape), without copies."""
    tasks = len(batch.support_x)
    return {name: p.expand(tasks, *p.shape) for name, p in parameters.items()}


def call_queries(network: nn.Module, parameters: Parameters, batch: TaskBatch) -> Tensor:
    """The outputs for the tasks' queries (tasks, queries, outputs), with parameters (tasks, *shape).

    A network that normalises queries by the support set is given that too.
    """
    if _one_by_one(network, parameters, batch):
        tasks = [call_examples(network, _of_task(parameters, task), x) for task, x in enumerate(batch.query_x)]
        return torch.stack(tasks)
    told = queries_told(network, batch.query_x.shape[1])
    if not told:
        return call_tasks(network, parameters, batch.query_x, {})
    both = torch.cat([batch.support_x, batch.query_x], dim=1)
    return call_tasks(network, parameters, both, told)[:, batch.support_x.shape[1] :]


def outer_gradient(
    descent: Descent, parameters: Parameters, rates: Callable[[Parameters], Rates], batch: TaskBatch
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean of the tasks' losses on their queries after the inner steps: its value and gradient.

    Where queries are taken task by task, so are their gradients: no more than one task's activations are kept.

    parameters  all that is meta-learned, (*shape); `rates` makes the inner rates of it
    """
    network, kind = descent.network, descent.kind
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    adapted = descent.adapted(networks_own(leaves), rates(leaves), batch)
    if _one_by_one(network, adapted, batch):
        value, by_adapted = _query_gradient(network, kind, adapted, batch)
        ends, given = list(adapted.values()), list(by_adapted.values())
    else:
        value = task_losses(kind, call_queries(network, adapted, batch), batch.query_y).mean()
        ends, given = [value], None
    gradients = torch.autograd.grad(ends, list(leaves.values()), given, materialize_grads=True)
    return value.detach(), dict(zip(leaves, gradients, strict=True))


def _one_by_one(network: nn.Module, parameters: Parameters, batch: TaskBatch) -> bool:
    """Whether to take the queries task by task: images on a CPU, when a task has enough of them to keep it busy. They
    then stay in the cache, and convolutions are ordinary ones."""
    x = batch.query_x
    if x.device.type != "cpu" or x.dim() != 5:
        return False
    size = x.shape[1] * sum(p[0].numel() for p in parameters.values())
    return size >= ONE_BY_ONE and not queries_told(network, x.shape[1])


def _of_task(parameters: Parameters, task: int) -> dict[str, Tensor]:
    return {name: p[task] for name, p in parameters.items()}


def _query_gradient(
    network: nn.Module, kind: Kind, adapted: Parameters, batch: TaskBatch
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean of the tasks' losses on their queries, and its gradient by the adapted parameters (tasks, *shape)."""
    tasks = len(batch.query_x)
    gradients = {name: torch.empty_like(p, memory_format=torch.contiguous_format) for name, p in adapted.items()}
    values = []
    for task in range(tasks):
        leaves = {name: p.detach().requires_grad_() for name, p in _of_task(adapted, task).items()}
        predictions = call_examples(network, leaves, batch.query_x[task])
        value = task_losses(kind, predictions[None], batch.query_y[task][None]).mean()
        values.append(value.detach())
        parts = torch.autograd.grad(value / tasks, list(leaves.values()), materialize_grads=True)
        for gradient, part in zip(gradients.values(), parts, strict=True):
            gradient[task] = part
    return torch.stack(values).mean(), gradients


def networks_own(parameters: Parameters) -> dict[str, Tensor]:
    """The meta-learned parameters that are the network's."""
    return {name: p for name, p in parameters.items() if not name.startswith(LEARNER)}


def extra(parameters: Parameters) -> dict[str, Tensor]:
    """The other meta-learned parameters, by the names that the learner's `initial` gave them."""
    return {name.removeprefix(LEARNER): p for name, p in parameters.items() if name.startswith(LEARNER)}


def check_options(learner: str, *, steps: int, **rates: float) -> None:
    """Raises ConfigError where the number of inner steps or a rate cannot be used."""
    check_number(learner, "steps", steps, 1, MOST_STEPS)
    for option, value in rates.items():
        check_number(learner, option, value, 0.0, LARGEST_RATE, above=True)
