"""Reptile: move the initial weights towards the weights that each task's own training ends at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.errors import ConfigError
from nas.protocols import Kind, TaskBatch, TaskFamily

from ..refusals import check_gradient
from .batched import call_tasks
from .inner import call_queries, check_options, task_losses


@dataclass(frozen=True)
class Reptile:
    """Reptile (Nichol et al., arXiv 1803.02999, algorithm 2): the outer gradient is initial minus adapted weights.

    In meta-training a task's support and query examples are one training set, taken in batches that go through the
    classes in turn; there is no split between them in Reptile. The inner optimizer is Adam without momentum (β1 = 0),
    as in the paper's Omniglot experiments, started afresh for each task.

    train_steps, batch  inner steps of meta-training, and the examples of each
    steps               inner steps of adaptation, each on the whole support set (the paper: 50)
    """

    inner_lr: float = 1e-3
    train_steps: int = 5
    batch: int = 10
    steps: int = 50
    outer_lr: float = 1.0
    name = "reptile"
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "sgd"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr, outer_lr=self.outer_lr)
        if self.train_steps < 1 or self.batch < 1:
            raise ConfigError(
                f"{self.name} train_steps = {self.train_steps}, batch = {self.batch}; both must be at least 1"
            )

    def check(self, network: nn.Module, x: Tensor) -> None:
        """Any differentiable network will do."""
        check_gradient(network, x, batched=True, twice=False)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        return {}

    def at(self, progress: float) -> Reptile:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x = torch.cat([batch.support_x, batch.query_x], dim=1)
        y = torch.cat([batch.support_y, batch.query_y], dim=1)
        order = _in_turn(y, kind)
        inner = _Adam(network, kind, self.inner_lr)
        state = inner.start(parameters, len(x))
        tasks = torch.arange(len(x), device=x.device)[:, None]
        losses = []
        for step in range(self.train_steps):
            chosen = self._rows(step, order)
            state, loss = inner.step(state, x[tasks, chosen], y[tasks, chosen])
            losses.append(loss)
        gradients = {name: p - state[0][name].mean(dim=0) for name, p in parameters.items()}
        return torch.stack(losses).mean(), gradients

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        inner = _Adam(network, kind, self.inner_lr)
        with torch.no_grad():
            state = inner.start(parameters, len(batch.support_x))
            curve = [call_queries(network, state[0], batch)]
            for _ in range(steps):
                state, _ = inner.step(state, batch.support_x, batch.support_y)
                curve.append(call_queries(network, state[0], batch))
            return torch.stack(curve)

    def _rows(self, step: int, order: Tensor) -> Tensor:
        """The examples of one inner step: (tasks, batch) positions, going round and round through `order`."""
        examples = order.shape[1]
        places = torch.arange(step * self.batch, (step + 1) * self.batch, device=order.device) % examples
        return order[:, places]


State = tuple[dict[str, Tensor], dict[str, Tensor], int]


@dataclass(frozen=True)
class _Adam:
    """Adam with β1 = 0 on each task (Kingma & Ba, arXiv 1412.6980), as a function of its state."""

    network: nn.Module
    kind: Kind
    lr: float
    beta2: float = 0.999
    epsilon: float = 1e-8

    def start(self, parameters: Mapping[str, Tensor], tasks: int) -> State:
        own = {name: p.detach().expand(tasks, *p.shape) for name, p in parameters.items()}
        return own, {name: torch.zeros_like(p) for name, p in own.items()}, 0

    def step(self, state: State, x: Tensor, y: Tensor) -> tuple[State, Tensor]:
        """The next state, and each task's loss before it (tasks,)."""
        parameters, squares, count = state
        gradients, losses = self._gradients(parameters, x, y)
        squares = {n: self.beta2 * squares[n] + (1 - self.beta2) * g * g for n, g in gradients.items()}
        correction = 1 - self.beta2 ** (count + 1)
        moved = {
            n: parameters[n] - self.lr * g / ((squares[n] / correction).sqrt() + self.epsilon)
            for n, g in gradients.items()
        }
        return (moved, squares, count + 1), losses

    def _gradients(self, parameters: Mapping[str, Tensor], x: Tensor, y: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        with torch.enable_grad():
            leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
            losses = task_losses(self.kind, call_tasks(self.network, leaves, x, {}), y)
            gradients = torch.autograd.grad(losses.sum(), list(leaves.values()), materialize_grads=True)
        return dict(zip(leaves, gradients, strict=True)), losses.detach()


def _in_turn(y: Tensor, kind: Kind) -> Tensor:
    """For each task an order of its examples in which the classes take turns: (tasks, examples) positions."""
    tasks, examples = y.shape[:2]
    if kind == "regression":
        return torch.arange(examples, device=y.device).expand(tasks, examples)
    same = y[:, :, None] == y[:, None, :]
    earlier = torch.ones(examples, examples, dtype=torch.bool, device=y.device).tril(-1)
    rank = (same & earlier).sum(dim=2)
    return torch.argsort(rank * examples + y, dim=1, stable=True)
