"""Prototypical networks (Snell et al., arXiv 1703.05175)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from nas.adaptation_rule import AdaptationRule
from nas.bounds import LARGEST_RATE, check_number
from nas.errors import ConfigError
from nas.protocols import TaskFamily
from nas.task import Kind, TaskBatch

from ..networks.normalisation import sees_batch
from ..networks.output_layer import head_name
from .body_and_head import check_head
from .closed_form import formula_curve, formula_gradient
from .inner_loop import check_options


@dataclass(frozen=True)
class ProtoNet:
    """Prototypical networks (Snell et al., arXiv 1703.05175, section 2): the nearest class mean in feature space.

    The logit of a query for a class is minus the squared distance of its features from the mean of the class's support
    features. The network's own head is not used.

    Attributes:
        temperature: Divisor of the distances, which grow with the number of features; 0 takes that number.
        outer_lr: Learning rate of the outer loop, above 0.
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
        return formula_gradient(network, parameters, batch, kind, self._scores)

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        return formula_curve(network, parameters, batch, steps, self._scores)

    def adaptation(self, network: nn.Module, parameters: Mapping[str, Tensor], kind: Kind) -> AdaptationRule:
        return AdaptationRule(
            method="prototypes",
            head_only=True,
            temperature=self.temperature,
            head=head_name(network),
            batch_statistics=sees_batch(network),
        )

    def _scores(self, features: TaskBatch, learned: Mapping[str, Tensor], ways: int) -> Tensor:
        """Logits (tasks, queries, ways)."""
        member = nn.functional.one_hot(features.support_y, ways).to(features.support_x.dtype)
        prototypes = member.mT @ features.support_x / member.sum(dim=1).clamp(min=1)[..., None]
        distances = (features.query_x[:, :, None] - prototypes[:, None]).square().sum(dim=-1)
        return -distances / (self.temperature or features.support_x.shape[-1])
