"""MAML: learn the initial weights from which a few gradient steps on a task's support set do best on its queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap

from nas.protocols import Kind, TaskBatch

from .inner import call, check_options, gradient_step, loss_of


@dataclass(frozen=True)
class Maml:
    """Model-agnostic meta-learning (Finn et al., arXiv 1703.03400, algorithms 1 and 2), all layers adapted.

    order     2 differentiates through the inner steps; 1 takes them as constant shifts (first-order MAML)
    inner_lr  step size on the mean loss of the support set
    """

    order: Literal[1, 2] = 2
    inner_lr: float = 0.4
    steps: int = 1
    outer_lr: float = 1e-3
    name = "maml"
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "adam"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr, outer_lr=self.outer_lr)

    def check(self, network: nn.Module, x: Tensor) -> None:
        """Any differentiable network will do."""

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss = loss_of(kind)

        def query_loss(p: Mapping[str, Tensor], sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
            for _ in range(self.steps):
                p = gradient_step(network, p, sx, sy, loss=loss, lr=self.inner_lr, first_order=self.order == 1)
            return loss(call(network, p, qx), qy)

        def outer(p: dict[str, Tensor]) -> Tensor:
            losses: Tensor = vmap(query_loss, in_dims=(None, 0, 0, 0, 0))(
                p, batch.support_x, batch.support_y, batch.query_x, batch.query_y
            )
            return losses.mean()

        gradients, value = grad_and_value(outer)(dict(parameters))
        return value, gradients

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        loss = loss_of(kind)

        def curve(sx: Tensor, sy: Tensor, qx: Tensor) -> Tensor:
            p = parameters
            predictions = [call(network, p, qx)]
            for _ in range(steps):
                p = gradient_step(network, p, sx, sy, loss=loss, lr=self.inner_lr, first_order=True)
                predictions.append(call(network, p, qx))
            return torch.stack(predictions)

        with torch.no_grad():
            predictions: Tensor = vmap(curve, out_dims=1)(batch.support_x, batch.support_y, batch.query_x)
        return predictions
