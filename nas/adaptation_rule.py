"""Adaptation rules: how a learner adapts a network to a new task, as data that an export can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AdaptationRule:
    """Adaptation to a support set. Names are the paths of layers and parameters in the network.

    Attributes:
        method: 'gradient' descent, class means ('prototypes'), or ridge regression in closed form.
        head: The linear layer that gives the output; None where the network has none.
        head_only: Whether the head alone is adapted, so that the rest runs once for each example.
        batch_statistics: Whether the output for one example depends on the others of its batch.
        steps: Gradient steps.
        optimizer: 'sgd', or 'adam': Adam without momentum.
        reduction: Whether a step's loss is the mean over the support set or the sum.
        rate: Step size of parameters that have none of their own in `tensors`.
        adapts: Parameters that gradient steps change; empty with `head_only`.
        head_start: Whether the head starts from its trained weights or from zero.
        temperature: Divisor of the squared distances to prototypes; 0 takes the number of features.
        tensors: Learned values: 'rate/NAME' and 'square/NAME' of a parameter, 'taken', 'log_lambda', 'scale', 'shift'.
    """

    method: Literal["gradient", "prototypes", "ridge"]
    head: str | None
    head_only: bool
    batch_statistics: bool
    steps: int = 1
    optimizer: Literal["sgd", "adam"] = "sgd"
    reduction: Literal["mean", "sum"] = "mean"
    rate: float = 0.0
    adapts: tuple[str, ...] = ()
    head_start: Literal["trained", "zero"] = "trained"
    temperature: float = 0.0
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
