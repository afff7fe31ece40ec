"""How a candidate is meta-trained, as a search space may choose it besides the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from .augmentation_policy import AugmentationPolicy

Option = bool | int | float | str
"""Value of a learner's option."""


@dataclass(frozen=True)
class LearnerChoice:
    """A learner by name.

    Attributes:
        name: Name of the learner, as a config has it.
        options: Pairs of an option and its value; others have their defaults.
    """

    name: str
    options: tuple[tuple[str, Option], ...] = ()


@dataclass(frozen=True)
class OuterOptimizer:
    """Optimizer of the outer loop.

    Attributes:
        name: 'adam' or 'sgd'.
        rate: Learning rate, above 0.
    """

    name: Literal["adam", "sgd"]
    rate: float


@dataclass(frozen=True)
class Normalisation:
    """Normalisation of a network, with the values that the evaluator's options `norm` and `head_norm` have."""

    norm: Literal["group", "batch", "support", "none"]
    head_norm: bool


@dataclass(frozen=True)
class TrainingRecipe:
    """The parts of a meta-training that a person would set by hand. None leaves a part as the evaluator has it.

    Attributes:
        learner: Inner loop.
        outer: Optimizer of the outer loop.
        augmentation: Augmentation of the images of training tasks.
        normalisation: Normalisation of the network.
    """

    learner: LearnerChoice | None = None
    outer: OuterOptimizer | None = None
    augmentation: AugmentationPolicy | None = None
    normalisation: Normalisation | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that are given."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)

    def with_part(self, other: TrainingRecipe, part: str) -> TrainingRecipe:
        """This recipe with a part of another one."""
        changes: Mapping[str, Any] = {part: getattr(other, part)}
        return replace(self, **changes)
