"""Learners without an inner loop: the head is a formula of the support set's features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.bounds import LARGEST_RATE, check_number
from nas.errors import ConfigError
from nas.protocols import Kind, TaskBatch, TaskFamily

from .batched import call
from .features import features_of, head_of
from .heads import check_head, split_head
from .inner import check_options, extra, task_losses

Formula = Callable[[TaskBatch, Mapping[str, Tensor], int], Tensor]
"""From features of a batch, what else is meta-learned and the number of outputs to predictions for the queries (tasks,
queries, outputs). What they say of a class without support examples means nothing."""
LOG_LAMBDA, SCALE, SHIFT = "log_lambda", "scale", "shift"


@dataclass(frozen=True)
class ProtoNet:
    """Prototypical networks (Snell et al., arXiv 1703.05175): a query's score for a class is minus the squared distance
    of its features from the mean of the class's support features. The network's own head is not used.

    temperature  what distances are divided by, as features of many dimensions lie far apart; 0 is their dimension
    """

    temperature: float = 1.0
    outer_lr: float = 1e-3
    name = "protonet"
    steps: ClassVar[int] = 1
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "adam"

    def __post_init__(self) -> None:
        check_options(self.name, steps=1, outer_lr=self.outer_lr)
        check_number(self.name, "temperature", self.temperature, 0.0, LARGEST_RATE)

    def check(self, network: nn.Module, x: Tensor) -> None:
        check_head(network, x)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        if family.shape.kind != "classification":
            raise ConfigError(f"protonet compares classes, but {family.name} is regression; use ridge or maml")
        return {}

    def at(self, progress: float) -> ProtoNet:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return _gradient(network, parameters, batch, kind, self._scores)

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        return _curve(network, parameters, batch, steps, self._scores)

    def _scores(self, features: TaskBatch, learned: Mapping[str, Tensor], ways: int) -> Tensor:
        """Logits (tasks, queries, ways)."""
        member = nn.functional.one_hot(features.support_y, ways).to(features.support_x.dtype)
        prototypes = member.mT @ features.support_x / member.sum(dim=1).clamp(min=1)[..., None]
        distances = (features.query_x[:, :, None] - prototypes[:, None]).square().sum(dim=-1)
        return -distances / (self.temperature or features.support_x.shape[-1])


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on the features, R2-D2 (Bertinetto et al., arXiv 1805.08136, section 3): the head solves the
    support set in closed form, through a system of the size of the support set. For classification the targets are one
    for the class and zero for the others, and a meta-learned scale and shift turn the predictions into logits.

    penalty  what the meta-learned weight of the squared norm starts from
    """

    penalty: float = 1.0
    outer_lr: float = 1e-3
    name = "ridge"
    steps: ClassVar[int] = 1
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "adam"

    def __post_init__(self) -> None:
        check_options(self.name, steps=1, penalty=self.penalty, outer_lr=self.outer_lr)

    def check(self, network: nn.Module, x: Tensor) -> None:
        check_head(network, x)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        return {LOG_LAMBDA: torch.tensor(self.penalty).log(), SCALE: torch.tensor(1.0), SHIFT: torch.tensor(0.0)}

    def at(self, progress: float) -> Ridge:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return _gradient(network, parameters, batch, kind, _ridge)

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        return _curve(network, parameters, batch, steps, _ridge)


def _ridge(features: TaskBatch, learned: Mapping[str, Tensor], outputs: int) -> Tensor:
    """Xq Xᵀ (X Xᵀ + λ I)⁻¹ Y, with a constant one as the last feature; scaled and shifted for classification."""
    targets = features.support_y
    classes = targets.dim() == 2
    if classes:
        targets = nn.functional.one_hot(targets, outputs)
    support, query = (
        torch.cat([x, torch.ones_like(x[..., :1])], dim=-1) for x in (features.support_x, features.query_x)
    )
    gram = support @ support.mT
    system = gram + learned[LOG_LAMBDA].exp() * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    # Not `solve`, which asks the device whether the system was singular; this one is not, by its diagonal.
    solution, _ = torch.linalg.solve_ex(system, targets.to(gram.dtype))
    predicted: Tensor = query @ support.mT @ solution
    return learned[SCALE] * predicted + learned[SHIFT] if classes else predicted


def _gradient(
    network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, formula: Formula
) -> tuple[Tensor, dict[str, Tensor]]:
    split = split_head(network)
    leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    predicted = formula(features_of(split, leaves, batch), extra(leaves), split.head.out_features)
    value = task_losses(kind, predicted, batch.query_y).mean()
    gradients = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
    return value.detach(), dict(zip(leaves, gradients, strict=True))


def _curve(
    network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, steps: int, formula: Formula
) -> Tensor:
    """The network's own head before adaptation; the formula after it, which further steps do not change."""
    split = split_head(network)
    with torch.no_grad():
        features = features_of(split, parameters, batch)
        adapted = formula(features, extra(parameters), split.head.out_features)
        before = call(split.head, head_of(split, parameters), features.query_x)
    return torch.stack([before, *[adapted] * steps])
