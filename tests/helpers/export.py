"""Exports of networks with untrained weights."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from nas import config as configs
from nas.export import export
from nas.space import sample


def exported(folder: Path, data: dict[str, Any]) -> Path:
    """Writes a network of the config, with its initial weights, as `nas export` does; returns the folder."""
    config = configs.from_json(data)
    parts = configs.build(config)
    architecture = sample(parts.space, random.Random(1))
    export(
        folder,
        network=parts.evaluator.network(architecture, seed=5),
        architecture=architecture,
        shape=parts.evaluator.tasks.shape,
        recipe={"run": "toy", "config": config.to_json()},
    )
    return folder
