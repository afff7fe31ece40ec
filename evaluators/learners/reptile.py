"""Reptile: move the initial weights towards the weights that each task's own training ends at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.bounds import check_number
from nas.protocols import Kind, TaskBatch, TaskFamily

from ..refusals import check_gradient
from .inner import MOST_STEPS, Descent, InnerOptimizer, Reduction, check_options


@dataclass(frozen=True)
class Reptile:
    """Reptile (Nichol et al., arXiv 1803.02999, algorithm 2): the outer gradient is initial minus adapted weights.

    In meta-training a task's support and query examples are one training set, taken in batches that go through the
    classes in turn; there is no split between them in Reptile.

    train_steps, batch          inner steps of meta-training, and the examples of each
    steps                       inner steps of adaptation, each on the whole support set (the paper: 50)
    inner_optimizer, reduction  as MAML's; the paper's Omniglot experiments have Adam without momentum
    """

    inner_lr: float = 1e-3
    train_steps: int = 5
    batch: int = 10
    steps: int = 50
    outer_lr: float = 1.0
    inner_optimizer: InnerOptimizer = "adam"
    reduction: Reduction = "mean"
    name = "reptile"
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "sgd"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr, outer_lr=self.outer_lr)
        check_number(self.name, "train_steps", self.train_steps, 1, MOST_STEPS)
        check_number(self.name, "batch", self.batch, 1, 10_000)

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
        descent = self._descent(network, kind, self.train_steps)
        rates = dict.fromkeys(parameters, self.inner_lr)
        at = descent.start(parameters, batch)
        tasks = torch.arange(len(x), device=x.device)[:, None]
        losses = []
        for step in range(self.train_steps):
            chosen = self._rows(step, order)
            at, loss = descent.step(at, rates, x[tasks, chosen], y[tasks, chosen])
            losses.append(loss)
        gradients = {name: (p - at.parameters[name].mean(dim=0)).detach() for name, p in parameters.items()}
        return torch.stack(losses).mean(), gradients

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        rates = dict.fromkeys(parameters, self.inner_lr)
        return self._descent(network, kind, steps).predictions(parameters, rates, batch)

    def _descent(self, network: nn.Module, kind: Kind, steps: int) -> Descent:
        return Descent(network, kind, steps, True, self.inner_optimizer, self.reduction)

    def _rows(self, step: int, order: Tensor) -> Tensor:
        """The examples of one inner step: (tasks, batch) positions, going round and round through `order`."""
        examples = order.shape[1]
        places = torch.arange(step * self.batch, (step + 1) * self.batch, device=order.device) % examples
        return order[:, places]


def _in_turn(y: Tensor, kind: Kind) -> Tensor:
    """For each task an order of its examples in which the classes take turns: (tasks, examples) positions."""
    tasks, examples = y.shape[:2]
    if kind == "regression":
        return torch.arange(examples, device=y.device).expand(tasks, examples)
    same = y[:, :, None] == y[:, None, :]
    earlier = torch.ones(examples, examples, dtype=torch.bool, device=y.device).tril(-1)
    rank = (same & earlier).sum(dim=2)
    return torch.argsort(rank * examples + y, dim=1, stable=True)
