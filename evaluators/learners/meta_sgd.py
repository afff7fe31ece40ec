"""Meta-SGD: MAML that also learns an inner rate for each parameter."""

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
from .inner_loop import Descent, Reduction, check_options, learner_parameters, network_parameters, outer_gradient


@dataclass(frozen=True)
class MetaSgd:
    """Meta-SGD (Li et al., arXiv 1707.09835): one meta-learned rate for each single parameter, of either sign.

    Attributes:
        inner_lr: Initial value of all rates, above 0.
        steps: Inner steps, at least 1.
        outer_lr: Learning rate of the outer loop, above 0.
        reduction: Loss of the inner steps, as in `Maml`.
    """

    inner_lr: float = 0.4
    steps: int = 1
    outer_lr: float = 1e-3
    reduction: Reduction = "mean"
    name = "meta-sgd"
    second_order: ClassVar[bool] = True
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "adam"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr, outer_lr=self.outer_lr)

    def check(self, network: nn.Module, x: Tensor) -> None:
        """Accepts any twice differentiable network."""
        check_gradient(network, x, batched=True, twice=True)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        return {
            name.replace(".", "/"): torch.full_like(p, self.inner_lr, requires_grad=False)
            for name, p in network.named_parameters()
            if p.requires_grad
        }

    def at(self, progress: float) -> MetaSgd:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        descent = Descent(network, kind, self.steps, first_order=False, reduction=self.reduction)
        return outer_gradient(descent, parameters, _rates, batch)

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        descent = Descent(network, kind, steps, first_order=True, reduction=self.reduction)
        return descent.predictions(network_parameters(parameters), _rates(parameters), batch)

    def adaptation(self, network: nn.Module, parameters: Mapping[str, Tensor], kind: Kind) -> AdaptationRule:
        rates = _rates(parameters)
        return AdaptationRule(
            method="gradient",
            head_only=False,
            steps=self.steps,
            reduction=self.reduction,
            rate=self.inner_lr,
            adapts=tuple(rates),
            head=head_name(network),
            batch_statistics=sees_batch(network),
            tensors={f"rate/{name}": rate for name, rate in rates.items()},
        )


def _rates(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("/", "."): rate for name, rate in learner_parameters(parameters).items()}
