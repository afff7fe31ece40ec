"""Fine-tuning after ordinary pre-training: a control without meta-learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.adaptation_rule import AdaptationRule
from nas.errors import ConfigError
from nas.protocols import ClassNames, TaskFamily
from nas.task import Kind, TaskBatch

from ..losses import task_losses
from ..networks.normalisation import sees_batch
from ..networks.output_layer import head_name
from .body_and_head import check_head, features_of, head_of, split_head
from .inner_loop import Descent, InnerOptimizer, Reduction, check_options, learner_parameters, network_parameters
from .vectorised.per_task_weights import call, call_tasks

CLASSIFIER = "classifier"


@dataclass(frozen=True)
class FineTune:
    """Plain pre-training on all training classes (or all tasks' points), then fine-tuning on the support set.

    Classification is "Baseline" of A Closer Look at Few-Shot Classification (Chen et al., arXiv 1904.04232, section 3):
    one linear classifier of all training classes is trained together with the body; then the body stays as it is, and a
    new linear head that starts from zero is fitted to the support set. Regression follows the pre-trained network of
    MAML's sinusoid experiments (arXiv 1703.03400, section 5.1): one network is trained on the points of all tasks
    together, then all of its weights take gradient steps on the support set.

    Attributes:
        inner_lr: Step size of the fine-tuning, above 0.
        steps: Steps of the fine-tuning, at least 1.
        outer_lr: Learning rate of the pre-training, above 0.
        inner_optimizer: Optimizer of the fine-tuning, as in `Maml`.
        reduction: Loss of the fine-tuning, as in `Maml`.
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
        """In classification, the classifier of all training classes: (classes, features + 1), the last column the bias.

        Raises:
            ConfigError: The family is one of classification and does not name its classes.
        """
        if family.shape.kind == "regression":
            return {}
        if not isinstance(family, ClassNames):
            raise ConfigError(
                f"finetune trains on the classes of a family, but {family.name} does not name its classes; "
                "take a family with a method `classes`, or another learner"
            )
        features = split_head(network).head.in_features
        return {CLASSIFIER: torch.zeros(len(family.classes("train")), features + 1)}

    def at(self, progress: float) -> FineTune:
        return self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        if kind == "classification":
            loss = _classifier_loss(network, leaves, batch)
        else:
            x = torch.cat([batch.support_x, batch.query_x], dim=1)
            y = torch.cat([batch.support_y, batch.query_y], dim=1)
            loss = task_losses(kind, _outputs_of_all_points(network, network_parameters(leaves), x), y).mean()
        gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        return loss.detach(), dict(zip(leaves, gradients, strict=True))

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        if kind == "regression":
            weights = network_parameters(parameters)
            descent = Descent(network, kind, steps, True, self.inner_optimizer, self.reduction)
            return descent.predictions(weights, dict.fromkeys(weights, self.inner_lr), batch)
        split = split_head(network)
        with torch.no_grad():
            features = features_of(split, parameters, batch)
        head = {name: torch.zeros_like(p) for name, p in head_of(split, parameters).items()}
        descent = Descent(split.head, kind, steps, True, self.inner_optimizer, self.reduction)
        return descent.predictions(head, dict.fromkeys(head, self.inner_lr), features)

    def adaptation(self, network: nn.Module, parameters: Mapping[str, Tensor], kind: Kind) -> AdaptationRule:
        return AdaptationRule(
            method="gradient",
            head_only=kind == "classification",
            head_start="zero" if kind == "classification" else "trained",
            steps=self.steps,
            optimizer=self.inner_optimizer,
            reduction=self.reduction,
            rate=self.inner_lr,
            adapts=tuple(network_parameters(parameters)) if kind == "regression" else (),
            head=head_name(network),
            batch_statistics=sees_batch(network),
        )


def _classifier_loss(network: nn.Module, leaves: Mapping[str, Tensor], batch: TaskBatch) -> Tensor:
    """Cross-entropy of all examples of the batch against their classes among all training classes, a scalar."""
    if batch.classes is None:
        raise ConfigError(
            "finetune needs to know the classes of a task, but the task family gives none; set `classes` in its batches"
        )
    features = features_of(split_head(network), leaves, batch)
    x = torch.cat([features.support_x, features.query_x], dim=1)
    y = torch.cat([batch.support_y, batch.query_y], dim=1)
    weight = learner_parameters(leaves)[CLASSIFIER]
    logits = x @ weight[:, :-1].mT + weight[:, -1]
    return nn.functional.cross_entropy(logits.flatten(0, 1), batch.classes.gather(1, y).flatten())


def _outputs_of_all_points(network: nn.Module, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Outputs (tasks, points, outputs) for x (tasks, points, *input_shape).

    A network that uses batch statistics takes them from the points of one task.
    """
    if sees_batch(network):
        return call_tasks(network, {name: p.expand(len(x), *p.shape) for name, p in weights.items()}, x, {})
    return call(network, weights, x.flatten(0, 1)).unflatten(0, x.shape[:2])
