"""Training recipes as data: how a candidate is meta-trained, as a search space may choose it besides the network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
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

    @property
    def key(self) -> str:
        """A stable digest of 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def text(self, part: str) -> str:
        """What a part says, for people: 'anil, inner_lr 0.3, steps 5'."""
        value = getattr(self, part)
        if isinstance(value, LearnerChoice):
            return ", ".join([value.name, *(f"{option} {_plain(given)}" for option, given in value.options)])
        if isinstance(value, OuterOptimizer):
            return f"{value.name}, rate {value.rate:g}"
        if isinstance(value, Normalisation):
            return f"{value.norm}, {'with' if value.head_norm else 'without'} head norm"
        return f"policy of {len(value.sub_policies)} sub-policies" if value is not None else "default"

    def with_part(self, other: TrainingRecipe, part: str) -> TrainingRecipe:
        """This recipe with a part of another one."""
        changes: Mapping[str, Any] = {part: getattr(other, part)}
        return replace(self, **changes)


def _plain(value: Option) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
