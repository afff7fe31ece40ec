"""ANIL: MAML with an inner loop that adapts the head alone, so that the body runs once for all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.adaptation_rule import AdaptationRule
from nas.protocols import TaskFamily
from nas.task import Kind, TaskBatch

from ..losses import task_losses
from ..networks.normalisation import sees_batch
from ..networks.output_layer import head_name
from .body_and_head import check_head, features_of, head_of, split_head
from .inner_loop import Descent, InnerOptimizer, Rates, Reduction, call_queries, check_options, learner_parameters
from .maml import LOG_RATE


@dataclass(frozen=True)
class Anil:
    """Almost no inner loop (Raghu et al., arXiv 1909.09157): the body is meta-learned, the head adapts.

    The head is the linear layer that gives the network's output (`body_and_head`). The body's features are computed
    once per example; the inner steps, differentiated to second order, act on features and head alone.

    Attributes:
        inner_lr: Step size of the inner steps, above 0.
        steps: Inner steps, at least 1.
        outer_lr: Learning rate of the outer loop, above 0.
        learn_lr: Whether the step size is meta-learned too, from the initial value `inner_lr`.
        inner_optimizer: Optimizer of the inner steps, as in `Maml`.
        reduction: Loss of the inner steps, as in `Maml`.
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
        loss = task_losses(kind, call_queries(split.head, adapted, features), batch.query_y).mean()
        gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        return loss.detach(), dict(zip(leaves, gradients, strict=True))

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        split = split_head(network)
        with torch.no_grad():
            features = features_of(split, parameters, batch)
        head = head_of(split, parameters)
        descent = Descent(split.head, kind, steps, True, self.inner_optimizer, self.reduction)
        return descent.predictions(head, self._rates(head, parameters), features)

    def adaptation(self, network: nn.Module, parameters: Mapping[str, Tensor], kind: Kind) -> AdaptationRule:
        return AdaptationRule(
            method="gradient",
            head_only=True,
            steps=self.steps,
            optimizer=self.inner_optimizer,
            reduction=self.reduction,
            rate=float(self._rate(parameters)),
            head=head_name(network),
            batch_statistics=sees_batch(network),
        )

    def _rates(self, head: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Rates:
        return dict.fromkeys(head, self._rate(parameters))

    def _rate(self, parameters: Mapping[str, Tensor]) -> Tensor | float:
        return learner_parameters(parameters)[LOG_RATE].exp() if self.learn_lr else self.inner_lr
