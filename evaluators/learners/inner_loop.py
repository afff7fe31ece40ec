"""Inner steps of gradient-based learners on many tasks at once, and the outer gradient through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from nas.bounds import LARGEST_RATE, MOST_STEPS, check_number
from nas.protocols import LEARNER
from nas.task import Kind, TaskBatch

from ..losses import task_losses
from ..networks.normalisation import query_markers
from ..optimizers.files import ExportedOptimizer
from ..optimizers.lstm import LstmState
from .learned_steps import learned_directions
from .vectorised.channels_last import call_examples
from .vectorised.per_task_weights import Parameters, call_tasks

Rates = Mapping[str, Tensor | float]
InnerOptimizer = Literal["sgd", "adam"]
Reduction = Literal["mean", "sum"]
BETA2, EPSILON, SMALLEST_SQUARE = 0.999, 1e-8, 1e-30
ONE_BY_ONE = 2**16
"""Queries of a task times parameters from which a CPU is faster when it takes the images of one task at a time."""


class AdamState(NamedTuple):
    """State of Adam without momentum.

    Attributes:
        squares: Running means of the squared gradients by parameter name; a missing name has had no step.
        taken: Number of steps taken, as a number or a scalar tensor.
    """

    squares: Parameters
    taken: int | Tensor


NO_STEPS = AdamState({}, 0)


class Adapted(NamedTuple):
    """Parameters of each task after some inner steps.

    Attributes:
        parameters: Values by name, (tasks, *shape).
        adam: State of each task's optimizer, (tasks, *shape); empty for SGD.
        lstm: State of a learned optimizer for all coordinates of all tasks, one task after the other; None before the
            first step, and for the others.
    """

    parameters: Parameters
    adam: AdamState
    lstm: LstmState | None = None


@dataclass(frozen=True)
class Descent:
    """Gradient descent on each task: the inner loop of MAML and the learners like it.

    The methods take inner rates by parameter name: numbers, or tensors (*shape) or (). A parameter without a rate stays
    as it is.

    Attributes:
        network: Network whose parameters are adapted.
        kind: Kind of the tasks.
        steps: Number of inner steps.
        first_order: Whether gradients are detached, so that the outer gradient treats each step as a constant shift
            (Finn et al., arXiv 1703.03400, section 5.2).
        optimizer: 'sgd' is plain gradient descent; 'adam' is Adam (Kingma & Ba, arXiv 1412.6980) without momentum
            (β1 = 0), as in Reptile's experiments.
        reduction: Whether the loss is the mean over a task's support set or its sum.
        learned: A learned optimizer in place of `optimizer`, with a state for each coordinate of each task. It needs
            `first_order`: its updates are constants to the outer gradient, as its own training detaches gradients too.
    """

    network: nn.Module
    kind: Kind
    steps: int
    first_order: bool
    optimizer: InnerOptimizer = "sgd"
    reduction: Reduction = "mean"
    learned: ExportedOptimizer | None = None

    def start(self, parameters: Parameters, batch: TaskBatch, adam: AdamState = NO_STEPS) -> Adapted:
        """The same parameters and the same state of the optimizer, both (*shape), for every task."""
        return Adapted(for_each_task(parameters, batch), AdamState(for_each_task(adam.squares, batch), adam.taken))

    def step(self, state: Adapted, rates: Rates, x: Tensor, y: Tensor) -> tuple[Adapted, Tensor]:
        """One step on the examples.

        Args:
            state: Parameters of each task before the step.
            rates: Inner rates.
            x: Inputs (tasks, examples, *input_shape).
            y: Labels (tasks, examples), or targets (tasks, examples, outputs).

        Returns:
            The parameters after the step, and each task's mean loss before it, (tasks,).
        """
        with torch.enable_grad():
            moving = {name: state.parameters[name] for name in rates}
            if self.first_order:
                moving = {name: p.detach().requires_grad_() for name, p in moving.items()}
            predictions = call_tasks(self.network, {**state.parameters, **moving}, x, {})
            losses = task_losses(self.kind, predictions, y)
            loss = losses.sum() * (y[0].numel() if self.reduction == "sum" else 1)
            gradients = torch.autograd.grad(
                loss, list(moving.values()), create_graph=not self.first_order, materialize_grads=True
            )
        directions = dict(zip(moving, gradients, strict=True))
        adam, lstm = state.adam, state.lstm
        if self.learned is not None:
            directions, lstm = learned_directions(self.learned, directions, lstm)
        elif self.optimizer == "adam":
            squares = {name: _running_mean(adam.squares.get(name), grad) for name, grad in directions.items()}
            adam = AdamState(squares, adam.taken + 1)
            directions = {name: _scaled(grad, squares[name], adam.taken) for name, grad in directions.items()}
        moved = {name: _moved(state.parameters[name], rates[name], step) for name, step in directions.items()}
        return Adapted({**state.parameters, **moved}, adam, lstm), losses.detach()

    def adapted(self, parameters: Parameters, rates: Rates, batch: TaskBatch) -> Parameters:
        """Parameters of each task, (tasks, *shape), after all steps on its support set from `parameters`, (*shape)."""
        state = self.start(parameters, batch)
        for _ in range(self.steps):
            state, _ = self.step(state, rates, batch.support_x, batch.support_y)
        return state.parameters

    def predictions(self, parameters: Parameters, rates: Rates, batch: TaskBatch, adam: AdamState = NO_STEPS) -> Tensor:
        """Predictions for the queries after 0, 1, …, `steps` steps from the same parameters, (*shape), for all tasks.

        Args:
            parameters: The initial parameters.
            rates: Inner rates.
            batch: The tasks.
            adam: The state of the optimizer from which every task starts.

        Returns:
            Predictions (steps + 1, tasks, queries, outputs).
        """
        with torch.no_grad():
            state = self.start(parameters, batch, adam)
            curve = [call_queries(self.network, state.parameters, batch)]
            for _ in range(self.steps):
                state, _ = self.step(state, rates, batch.support_x, batch.support_y)
                curve.append(call_queries(self.network, state.parameters, batch))
            return torch.stack(curve)


def _running_mean(squares: Tensor | None, gradient: Tensor) -> Tensor:
    new = (1 - BETA2) * gradient * gradient
    return new if squares is None else BETA2 * squares + new


def _scaled(gradient: Tensor, squares: Tensor, taken: int | Tensor) -> Tensor:
    """The gradient divided by the root of the squares' mean, whose start from zero is corrected."""
    correction: float | Tensor = 1 - BETA2**taken
    if isinstance(correction, Tensor):
        correction = correction.to(squares.dtype)
    # The lower bound changes no value. Without it a square of zero makes the second derivative NaN, because the root
    # of zero has no derivative and zero times infinity is not a number.
    root = (squares / correction).clamp(min=SMALLEST_SQUARE).sqrt()
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
    """Outputs for the queries of the tasks, (tasks, queries, outputs), with parameters (tasks, *shape).

    A network that normalises queries by the statistics of the support set is given the support set too.
    """
    if _one_by_one(network, parameters, batch):
        tasks = [call_examples(network, _of_task(parameters, task), x) for task, x in enumerate(batch.query_x)]
        return torch.stack(tasks)
    markers = query_markers(network, batch.query_x.shape[1])
    if not markers:
        return call_tasks(network, parameters, batch.query_x, {})
    both = torch.cat([batch.support_x, batch.query_x], dim=1)
    return call_tasks(network, parameters, both, markers)[:, batch.support_x.shape[1] :]


def outer_gradient(
    descent: Descent, parameters: Parameters, rates: Callable[[Parameters], Rates], batch: TaskBatch
) -> tuple[Tensor, dict[str, Tensor]]:
    """The outer loss, which is the mean of the tasks' losses on their queries after the inner steps, and its gradient.

    Where queries are taken one task at a time, so are their gradients, and only one task's activations are in memory.

    Args:
        descent: The inner loop.
        parameters: All meta-learned parameters by name, (*shape).
        rates: Computes the inner rates from them.
        batch: The tasks.

    Returns:
        The loss, a scalar, and its gradient by name, (*shape).
    """
    network, kind = descent.network, descent.kind
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    adapted = descent.adapted(network_parameters(leaves), rates(leaves), batch)
    if _one_by_one(network, adapted, batch):
        loss, grad_adapted = _query_gradient(network, kind, adapted, batch)
        outputs, grad_outputs = list(adapted.values()), list(grad_adapted.values())
    else:
        loss = task_losses(kind, call_queries(network, adapted, batch), batch.query_y).mean()
        outputs, grad_outputs = [loss], None
    gradients = torch.autograd.grad(outputs, list(leaves.values()), grad_outputs, materialize_grads=True)
    return loss.detach(), dict(zip(leaves, gradients, strict=True))


def _one_by_one(network: nn.Module, parameters: Parameters, batch: TaskBatch) -> bool:
    """Whether to take the queries one task at a time.

    This is faster for images on a CPU when a task has enough of them to keep the CPU busy: the images then stay in the
    cache, and convolutions are ordinary ones instead of grouped ones.
    """
    x = batch.query_x
    if x.device.type != "cpu" or x.dim() != 5:
        return False
    size = x.shape[1] * sum(p[0].numel() for p in parameters.values())
    return size >= ONE_BY_ONE and not query_markers(network, x.shape[1])


def _of_task(parameters: Parameters, task: int) -> dict[str, Tensor]:
    return {name: p[task] for name, p in parameters.items()}


def _query_gradient(
    network: nn.Module, kind: Kind, adapted: Parameters, batch: TaskBatch
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean of the tasks' losses on their queries, and its gradient by adapted parameter, (tasks, *shape)."""
    tasks = len(batch.query_x)
    gradients = {name: torch.empty_like(p, memory_format=torch.contiguous_format) for name, p in adapted.items()}
    losses = []
    for task in range(tasks):
        leaves = {name: p.detach().requires_grad_() for name, p in _of_task(adapted, task).items()}
        predictions = call_examples(network, leaves, batch.query_x[task])
        loss = task_losses(kind, predictions[None], batch.query_y[task][None]).mean()
        losses.append(loss.detach())
        parts = torch.autograd.grad(loss / tasks, list(leaves.values()), materialize_grads=True)
        for gradient, part in zip(gradients.values(), parts, strict=True):
            gradient[task] = part
    return torch.stack(losses).mean(), gradients


def network_parameters(parameters: Parameters) -> dict[str, Tensor]:
    """The network's own among the meta-learned parameters."""
    return {name: p for name, p in parameters.items() if not name.startswith(LEARNER)}


def learner_parameters(parameters: Parameters) -> dict[str, Tensor]:
    """The learner's own among the meta-learned parameters, by the names that its `initial` gave them."""
    return {name.removeprefix(LEARNER): p for name, p in parameters.items() if name.startswith(LEARNER)}


def check_options(learner: str, *, steps: int, **rates: float) -> None:
    """Raises ConfigError where the number of inner steps, or a rate by its option's name, is out of range."""
    check_number(learner, "steps", steps, 1, MOST_STEPS)
    for option, value in rates.items():
        check_number(learner, option, value, 0.0, LARGEST_RATE, above=True)
