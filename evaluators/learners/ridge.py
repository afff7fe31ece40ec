"""Ridge regression on the features, in closed form (Bertinetto et al., arXiv 1805.08136)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from nas.adaptation_rule import AdaptationRule
from nas.protocols import TaskFamily
from nas.task import Kind, TaskBatch

from ..networks.normalisation import sees_batch
from ..networks.output_layer import head_name
from .body_and_head import check_head
from .closed_form import formula_curve, formula_gradient
from .inner_loop import check_options, learner_parameters

LOG_LAMBDA, SCALE, SHIFT = "log_lambda", "scale", "shift"


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on the features, in closed form: R2-D2 (Bertinetto et al., arXiv 1805.08136, section 3).

    The head is the solution for the support set, found through a linear system of the size of the support set. In
    classification the targets are one for the class and zero for the others, and a meta-learned scale and shift turn
    the predictions into logits.

    Attributes:
        penalty: Initial value of the meta-learned weight λ of the squared norm, above 0.
        outer_lr: Learning rate of the outer loop, above 0.
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
        return formula_gradient(network, parameters, batch, kind, _ridge)

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        return formula_curve(network, parameters, batch, steps, _ridge)

    def adaptation(self, network: nn.Module, parameters: Mapping[str, Tensor], kind: Kind) -> AdaptationRule:
        return AdaptationRule(
            method="ridge",
            head_only=True,
            tensors=learner_parameters(parameters),
            head=head_name(network),
            batch_statistics=sees_batch(network),
        )


def _ridge(features: TaskBatch, learned: Mapping[str, Tensor], outputs: int) -> Tensor:
    """Predictions Xq Xᵀ (X Xᵀ + λ I)⁻¹ Y, (tasks, queries, outputs), scaled and shifted in classification.

    X (tasks, support, features) and Xq (tasks, queries, features) have a constant one as their last feature.
    """
    targets = features.support_y
    classes = targets.dim() == 2
    if classes:
        targets = nn.functional.one_hot(targets, outputs)
    support, query = (
        torch.cat([x, torch.ones_like(x[..., :1])], dim=-1) for x in (features.support_x, features.query_x)
    )
    gram = support @ support.mT
    system = gram + learned[LOG_LAMBDA].exp() * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    # `solve` would wait for the device to report a singular system; this one is regular because of its diagonal.
    solution, _ = torch.linalg.solve_ex(system, targets.to(gram.dtype))
    predicted: Tensor = query @ support.mT @ solution
    return learned[SCALE] * predicted + learned[SHIFT] if classes else predicted
