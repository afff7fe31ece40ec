"""ANIL: MAML whose inner loop adapts only the head, so that the body runs once for all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.protocols import TaskFamily
from nas.task import Kind, TaskBatch

from ..losses import task_losses
from .body_and_head import check_head, features_of, head_of, split_head
from .inner_loop import Descent, InnerOptimizer, Rates, Reduction, call_queries, check_options, extra
from .maml import LOG_RATE


@dataclass(frozen=True)
class Anil:
    """Almost no inner loop (Raghu et al., arXiv 1909.09157): the body is meta-learned, the head adapts.

    The head is the linear layer that gives the network's output (see `heads`). The body's features are taken once per
    example; the inner steps, differentiated to second order, act on features and head alone.

    learn_lr                    the step size is meta-learned too, from `inner_lr` on
    inner_optimizer, reduction  as MAML's
    """

    inner_lr: float = 0.4
    steps: int = 5
    outer_lr: float = 1e-3
    learn_lr: bool = False
    inner_optimizer: InnerOptimizer = "sgd"
    reduction: Reduction = "mean"
    name = "anil"
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "adam"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr, outer_lr=self.outer_lr)

    def check(self, network: nn.Module, x: Tensor) -> None:
        check_head(network, x)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        return {LOG_RATE: torch.tensor(self.inner_lr).log()} if self.learn_lr else {}

    def at(self, progress: float) -> Anil:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        split = split_head(network)
        leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        features = features_of(split, leaves, batch)
        head = head_of(split, leaves)
        descent = Descent(split.head, kind, self.steps, False, self.inner_optimizer, self.reduction)
        adapted = descent.adapted(head, self._rates(head, leaves), features)
        value = task_losses(kind, call_queries(split.head, adapted, features), batch.query_y).mean()
        gradients = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        return value.detach(), dict(zip(leaves, gradients, strict=True))

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        split = split_head(network)
        with torch.no_grad():
            features = features_of(split, parameters, batch)
        head = head_of(split, parameters)
        descent = Descent(split.head, kind, steps, True, self.inner_optimizer, self.reduction)
        return descent.predictions(head, self._rates(head, parameters), features)

    def _rates(self, head: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Rates:
        rate: Tensor | float = extra(parameters)[LOG_RATE].exp() if self.learn_lr else self.inner_lr
        return dict.fromkeys(head, rate)
