"""Controls: what ordinary training gives, without learning to learn. Reported beside what meta-learning gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.errors import ConfigError
from nas.protocols import TaskFamily
from nas.task import Kind, TaskBatch

from ..losses import task_losses
from ..networks.compatibility import check_gradient
from ..networks.normalisation import sees_batch
from .body_and_head import check_head, features_of, head_of, split_head
from .inner_loop import Descent, InnerOptimizer, Reduction, check_options, extra, networks_own
from .vectorised.per_task_weights import call, call_tasks

CLASSIFIER = "classifier"


@dataclass(frozen=True)
class FineTune:
    """Plain pre-training on all training classes (or all tasks' points), then fine-tuning on the support set.

    Classification as "Baseline" in A Closer Look at Few-Shot Classification (Chen et al., arXiv 1904.04232): one linear
    classifier of all training classes is trained with the body; then the body stays, and a new linear head that starts
    from zero is fitted to the support set. Regression as in MAML's sinusoid experiments: one network is trained on the
    points of all tasks together, then all of it takes gradient steps.

    inner_optimizer, reduction  of the fine-tuning, as MAML's
    """

    inner_lr: float = 0.01
    steps: int = 100
    outer_lr: float = 1e-3
    inner_optimizer: InnerOptimizer = "sgd"
    reduction: Reduction = "mean"
    name = "finetune"
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "adam"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr, outer_lr=self.outer_lr)

    def check(self, network: nn.Module, x: Tensor) -> None:
        check_head(network, x)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        if family.shape.kind == "regression":
            return {}
        classes = getattr(family, "classes", None)
        if classes is None:
            raise ConfigError(
                f"finetune trains on the classes of a family, but {family.name} does not name its classes"
            )
        features = split_head(network).head.in_features
        return {CLASSIFIER: torch.zeros(len(classes("train")), features + 1)}

    def at(self, progress: float) -> FineTune:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        if kind == "classification":
            value = _classifier_loss(network, leaves, batch)
        else:
            x, y = (torch.cat(pair, dim=1) for pair in _pairs(batch))
            value = task_losses(kind, _of_points(network, networks_own(leaves), x), y).mean()
        gradients = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        return value.detach(), dict(zip(leaves, gradients, strict=True))

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        if kind == "regression":
            return _descend_all(self, network, parameters, batch, kind, steps)
        split = split_head(network)
        with torch.no_grad():
            features = features_of(split, parameters, batch)
        head = {name: torch.zeros_like(p) for name, p in head_of(split, parameters).items()}
        descent = Descent(split.head, kind, steps, True, self.inner_optimizer, self.reduction)
        return descent.predictions(head, dict.fromkeys(head, self.inner_lr), features)


@dataclass(frozen=True)
class Scratch:
    """No meta-training at all: the network's random initial weights take gradient steps on the support set.

    inner_optimizer, reduction  of these steps, as MAML's
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
        """Any differentiable network will do."""
        check_gradient(network, x, batched=True, twice=False)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        return {}

    def at(self, progress: float) -> Scratch:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Nothing is learned across tasks: the gradient is zero."""
        gradients = {name: torch.zeros_like(p) for name, p in parameters.items()}
        return batch.support_x.new_zeros(()), gradients

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        return _descend_all(self, network, parameters, batch, kind, steps)


def _classifier_loss(network: nn.Module, leaves: Mapping[str, Tensor], batch: TaskBatch) -> Tensor:
    """Cross-entropy of all examples of the batch against their classes among all training classes."""
    if batch.classes is None:
        raise ConfigError("finetune needs to know the classes of a task; the task family gives none")
    features = features_of(split_head(network), leaves, batch)
    x = torch.cat([features.support_x, features.query_x], dim=1)
    y = torch.cat([batch.support_y, batch.query_y], dim=1)
    weight = extra(leaves)[CLASSIFIER]
    logits = x @ weight[:, :-1].mT + weight[:, -1]
    return nn.functional.cross_entropy(logits.flatten(0, 1), batch.classes.gather(1, y).flatten())


def _of_points(network: nn.Module, own: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The outputs for all points of all tasks; a network that uses batch statistics takes them from one task's."""
    if sees_batch(network):
        return call_tasks(network, {name: p.expand(len(x), *p.shape) for name, p in own.items()}, x, {})
    return call(network, own, x.flatten(0, 1)).unflatten(0, x.shape[:2])


def _pairs(batch: TaskBatch) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return (batch.support_x, batch.query_x), (batch.support_y, batch.query_y)


def _descend_all(
    learner: FineTune | Scratch,
    network: nn.Module,
    parameters: Mapping[str, Tensor],
    batch: TaskBatch,
    kind: Kind,
    steps: int,
) -> Tensor:
    own = networks_own(parameters)
    descent = Descent(network, kind, steps, True, learner.inner_optimizer, learner.reduction)
    return descent.predictions(own, dict.fromkeys(own, learner.inner_lr), batch)
