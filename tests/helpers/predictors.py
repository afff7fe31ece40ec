"""Exports of untrained networks that can be adapted without their search space."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from nas import config as configs
from nas.data.preprocessing import ImagePreprocessing
from nas.export import export
from nas.export.writing import Extras
from nas.protocols.learners import LEARNER
from nas.space import sample

IMAGES: dict[str, Any] = {
    "space": {"name": "few-shot-cell", "widths": [8], "depths": [2]},
    "tasks": {"name": "glyphs", "ways": 3, "shots": 2, "queries": 2},
}
NUMBERS: dict[str, Any] = {
    "space": {"name": "mlp", "widths": [8], "max_depth": 2},
    "tasks": {"name": "sinusoid"},
    "final": {"baseline": "mlp40"},
}


def adaptable(folder: Path, learner: str, *, numbers: bool = False, space: str | None = None) -> Path:
    """Writes an untrained network with its rule of adaptation; returns the folder.

    Args:
        folder: A folder that does not exist yet.
        learner: Name of the learner.
        numbers: Whether it is a regression of one number; else it takes images of 28 × 28 and tells three classes.
        space: Another search space for images.
    """
    data = {**(NUMBERS if numbers else IMAGES), "evaluator": {"learner": {"name": learner}}}
    if numbers:
        data["evaluator"]["norm"] = "none"
    if space is not None:
        data["space"] = {"name": space}
    config = configs.from_json(data)
    parts = configs.build(config)
    measurer = parts.measurer
    architecture = sample(parts.space, random.Random(1))
    network = measurer.network(architecture, seed=5)
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    own = measurer.learner.initial(network, measurer.tasks)
    parameters |= {LEARNER + name: tensor for name, tensor in own.items()}
    export(
        folder,
        network=network,
        architecture=architecture,
        shape=measurer.tasks.shape,
        recipe={"run": "toy", "config": config.to_json()},
        extras=Extras(
            rule=measurer.learner.adaptation(network, parameters, measurer.tasks.shape.kind),
            preprocessing=None if numbers else ImagePreprocessing(1, 28, 28),
        ),
    )
    return folder
