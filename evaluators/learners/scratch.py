"""Training from random initial weights: a control without any training across tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.adaptation_rule import AdaptationRule
from nas.protocols import TaskFamily
from nas.task import Kind, TaskBatch

from ..networks.compatibility import check_gradient
from ..networks.normalisation import sees_batch
from ..networks.output_layer import head_name
from .inner_loop import Descent, InnerOptimizer, Reduction, check_options, network_parameters


@dataclass(frozen=True)
class Scratch:
    """No meta-training at all: the network's random initial weights take gradient steps on the support set.

    Attributes:
        inner_lr: Step size, above 0.
        steps: Gradient steps, at least 1.
        inner_optimizer: Optimizer of these steps, as in `Maml`.
        reduction: Loss of these steps, as in `Maml`.
    """

    inner_lr: float = 0.1
    steps: int = 20
    inner_optimizer: InnerOptimizer = "sgd"
    reduction: Reduction = "mean"
    name = "scratch"
    outer_lr: ClassVar[float] = 1e-3
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "sgd"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr)

    def check(self, network: nn.Module, x: Tensor) -> None:
        """Accepts any differentiable network."""
        check_gradient(network, x, batched=True, twice=False)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        return {}

    def at(self, progress: float) -> Scratch:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A zero gradient, because nothing is learned across tasks."""
        gradients = {name: torch.zeros_like(p) for name, p in parameters.items()}
        return batch.support_x.new_zeros(()), gradients

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        weights = network_parameters(parameters)
        descent = Descent(network, kind, steps, True, self.inner_optimizer, self.reduction)
        return descent.predictions(weights, dict.fromkeys(weights, self.inner_lr), batch)

    def adaptation(self, network: nn.Module, parameters: Mapping[str, Tensor], kind: Kind) -> AdaptationRule:
        return AdaptationRule(
            method="gradient",
            head_only=False,
            steps=self.steps,
            optimizer=self.inner_optimizer,
            reduction=self.reduction,
            rate=self.inner_lr,
            adapts=tuple(network_parameters(parameters)),
            head=head_name(network),
            batch_statistics=sees_batch(network),
        )
