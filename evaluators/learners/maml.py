"""Model-agnostic meta-learning: initial weights that adapt well in a few gradient steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.adaptation_rule import AdaptationRule
from nas.bounds import MOST_STEPS, check_number
from nas.errors import ConfigError, SpaceError
from nas.protocols import TaskFamily
from nas.task import Kind, TaskBatch

from ..networks.compatibility import check_gradient
from ..networks.normalisation import norm_parameters, sees_batch
from ..networks.output_layer import head_name, marked
from ..optimizers.files import ExportedOptimizer, read
from ..protocol_options import BEFORE, LEFT_OUT
from .inner_loop import (
    Descent,
    InnerOptimizer,
    Rates,
    Reduction,
    check_options,
    learner_parameters,
    network_parameters,
    outer_gradient,
)

LOG_RATE = "log_rate"


@dataclass(frozen=True)
class Maml:
    """Model-agnostic meta-learning (Finn et al., arXiv 1703.03400, algorithms 1 and 2).

    Attributes:
        order: 2 differentiates through the inner steps; 1 treats them as constant shifts (first-order MAML).
        inner_lr: Step size on the loss of the support set, above 0.
        steps: Inner steps of adaptation, at least 1.
        outer_lr: Learning rate of the outer loop, above 0.
        learn_lr: Whether the step size is meta-learned too, one for all layers, from the initial value `inner_lr`.
        adapted: Layers that the inner steps change: all, the head (`output_layer`), or the normalisation layers.
        train_steps: Inner steps of meta-training; 0 takes `steps`.
        first_order: With order 2, the fraction of the outer steps, in [0, 1], that come first and take first-order
            gradients, which are cheaper (derivative-order annealing of MAML++, Antoniou et al., arXiv 1810.09502,
            section 4).
        inner_optimizer: 'sgd', 'adam': Adam without momentum, with a fresh state for each task, or 'learned': a learned
            optimizer likewise, which has no step size, so that `inner_lr` is not used. Its updates are constant shifts
            to the outer gradient, for which `order` must be 1.
        reduction: Loss of an inner step: the mean over the support set's examples, or their sum (the sum over all
            numbers in regression).
        optimizer: Folder of the learned optimizer (nas train-optimizer), with inner_optimizer = "learned".
        learned: What the folder holds; None without one.
        name: Name of the learner in protocols and messages.
    """

    order: Literal[1, 2] = 2
    inner_lr: float = 0.4
    steps: int = 1
    outer_lr: float = 1e-3
    learn_lr: bool = False
    adapted: Literal["all", "head", "norm"] = "all"
    train_steps: int = 0
    first_order: float = 0.0
    inner_optimizer: Literal["sgd", "adam", "learned"] = "sgd"
    reduction: Reduction = "mean"
    optimizer: Path | None = field(default=None, metadata={BEFORE: None, LEFT_OUT: True})
    learned: ExportedOptimizer | None = field(init=False, default=None, repr=False, metadata={BEFORE: None})
    name: str = field(default="maml", kw_only=True)
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "adam"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr, outer_lr=self.outer_lr)
        check_number(self.name, "train_steps", self.train_steps, 0, MOST_STEPS)
        check_number(self.name, "first_order", self.first_order, 0.0, 1.0)
        if self.order == 1 and self.first_order:
            raise ConfigError(f"{self.name} first_order = {self.first_order} with order = 1; it is for order = 2 only")
        self._check_learned()
        if self.optimizer is not None:
            object.__setattr__(self, "learned", read(self.optimizer))

    def _check_learned(self) -> None:
        if (self.inner_optimizer == "learned") != (self.optimizer is not None):
            raise ConfigError(
                f'{self.name} inner_optimizer = "{self.inner_optimizer}" with optimizer = {self.optimizer}; give '
                'inner_optimizer = "learned" and, as optimizer, the folder of a learned one together, or neither'
            )
        if self.optimizer is not None and (self.order == 2 or self.learn_lr):
            raise ConfigError(
                f'{self.name} inner_optimizer = "learned" with order = {self.order} and learn_lr = {self.learn_lr}; '
                "its updates are not differentiated and have no step size: give order = 1 and leave out learn_lr"
            )

    @property
    def second_order(self) -> bool:
        """Whether gradients of the body are differentiated."""
        return self.order == 2 and self.adapted != "head"

    def check(self, network: nn.Module, x: Tensor) -> None:
        """Accepts any differentiable network that has layers of the kind to adapt. Raises SpaceError for others."""
        marked(network, x)
        adapted_names(network, self.adapted)
        check_gradient(network, x, batched=True, twice=self.second_order)

    def initial(self, network: nn.Module, family: TaskFamily) -> dict[str, Tensor]:
        return {LOG_RATE: torch.tensor(self.inner_lr).log()} if self.learn_lr else {}

    def at(self, progress: float) -> Maml:
        return replace(self, order=1, first_order=0.0) if progress < self.first_order else self

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        descent = self._descent(network, kind, self.train_steps or self.steps, first_order=self.order == 1)
        return outer_gradient(descent, parameters, lambda p: self._rates(network, p), batch)

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        descent = self._descent(network, kind, steps, first_order=True)
        return descent.predictions(network_parameters(parameters), self._rates(network, parameters), batch)

    def adaptation(self, network: nn.Module, parameters: Mapping[str, Tensor], kind: Kind) -> AdaptationRule:
        if self.inner_optimizer == "learned":
            raise ConfigError(
                f'{self.name} inner_optimizer = "learned" cannot be exported, as an export holds no optimizer; train '
                'with inner_optimizer = "sgd" or "adam" for a network to export'
            )
        return AdaptationRule(
            method="gradient",
            head_only=False,
            steps=self.steps,
            optimizer=self.inner_optimizer,
            reduction=self.reduction,
            rate=float(self._rate(parameters)),
            adapts=tuple(sorted(adapted_names(network, self.adapted))),
            head=head_name(network),
            batch_statistics=sees_batch(network),
        )

    def _descent(self, network: nn.Module, kind: Kind, steps: int, *, first_order: bool) -> Descent:
        optimizer: InnerOptimizer = "adam" if self.inner_optimizer == "adam" else "sgd"
        return Descent(network, kind, steps, first_order, optimizer, self.reduction, self.learned)

    def _rates(self, network: nn.Module, parameters: Mapping[str, Tensor]) -> Rates:
        rate = self._rate(parameters)
        names = adapted_names(network, self.adapted)
        return {name: rate for name in network_parameters(parameters) if name in names}

    def _rate(self, parameters: Mapping[str, Tensor]) -> Tensor | float:
        if self.learned is not None:
            return 1.0  # a factor of the updates
        return learner_parameters(parameters)[LOG_RATE].exp() if self.learn_lr else self.inner_lr


def adapted_names(network: nn.Module, adapted: str) -> set[str]:
    """Names of the parameters that inner steps change. Raises SpaceError where there are none."""
    names = {name for name, p in network.named_parameters() if p.requires_grad}
    if adapted == "head":
        head = head_name(network)
        names = {name for name in names if head is not None and name.startswith(head + ".")}
    elif adapted == "norm":
        names &= norm_parameters(network)
    if not names:
        raise SpaceError(
            f"this learner adapts the {adapted} layers, of which the network has none with parameters; choose others "
            "by its option adapted"
        )
    return names
