"""Specs of `recipe`: a network and its training, and the text by which equal trainings are found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from nas.architecture import Architecture
from nas.training_recipe import TrainingRecipe

from ..augmentation_policy.spec import step_label


@dataclass(frozen=True)
class Recipe:
    """Decided architecture.

    Attributes:
        network: The network, as an architecture of its own space.
        layers: What that space decided, from which it builds the network.
        training: How the network is trained.
    """

    network: Architecture
    layers: Any
    training: TrainingRecipe


def training_text(training: TrainingRecipe) -> str:
    """A text that two trainings share exactly when they are the same: the order of sub-policies does not matter."""
    parts: dict[str, Any] = {part: asdict(getattr(training, part)) for part in training.parts}
    if training.augmentation is not None:
        rows = training.augmentation.sub_policies
        parts["augmentation"] = sorted(" → ".join(step_label(step) for step in row.steps) for row in rows)
    return json.dumps(parts, sort_keys=True, ensure_ascii=False)
