"""Adaptation by every learner: predictions after an export equal those of the trained network."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.learners import PRESETS
from PIL import Image

from nas import config as configs
from nas import registry
from nas.adapt import adapt
from nas.export import export, load
from nas.protocols import LEARNER
from nas.space import sample
from nas.task import Bank, TaskBatch

WAYS = 3
LEARNED = {"learn_lr": True, "steps": 2}
OPTIONS = {
    "reptile-omniglot-5way": {"steps": 3},
    "meta-sgd": {"steps": 2},
    "maml": LEARNED,
    "anil": LEARNED,
    "finetune": {"steps": 3},
}
WITH_PARAMETERS = {"maml", "anil", "meta-sgd", "ridge", "finetune", "reptile-omniglot-5way"}


"""Learners that have meta-learned parameters besides the network's."""


@pytest.fixture(params=sorted({*registry.names("learner")} - {*PRESETS} | WITH_PARAMETERS))
def trained(request, tmp_path):
    """The name of a learner, its evaluator, and a network that it trained, with the export folder."""
    config = configs.from_json(
        {
            "space": {"name": "few-shot-cell", "widths": [8], "depths": [2]},
            "tasks": {"name": "glyphs", "ways": WAYS, "shots": 2, "queries": 2},
            "evaluator": {"learner": {"name": request.param, **OPTIONS.get(request.param, {})}, "tasks_per_step": 2},
        }
    )
    parts = configs.build(config)
    evaluator, architecture = parts.evaluator, sample(parts.space, random.Random(1))
    bank, weights = Bank("validation", 0, 2), tmp_path / "weights"
    evaluator.measure(architecture, 2, 0, bank=bank, weights=weights)
    network = evaluator.trained(architecture, 2, 0, weights)
    shape, recipe = evaluator.tasks.shape, {"config": config.to_json()}
    export(tmp_path / "net", network=network, architecture=architecture, shape=shape, recipe=recipe)
    return request.param, evaluator, network, tmp_path / "net"


def test_an_exported_network_adapts_as_the_trained_one_does(trained: tuple, tmp_path: Path) -> None:
    name, evaluator, network, folder = trained
    assert (load(folder).learner is not None) == (name in WITH_PARAMETERS)
    batch = evaluator.tasks.tasks("test", [0], torch.device("cpu"))
    for part, xs, ys in (("support", batch.support_x, batch.support_y), ("query", batch.query_x, batch.query_y)):
        for number, (x, y) in enumerate(zip(xs[0], ys[0].tolist(), strict=True)):
            place = tmp_path / part / f"class{y}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray((x[0] * 255).round().numpy().astype(np.uint8)).save(place / f"{number}.png")
    adapted = adapt(folder, tmp_path / "support", tmp_path / "query")
    learner = evaluator.learner
    weights = {key: p.detach() for key, p in network.named_parameters() if p.requires_grad}
    assert any(key.startswith(LEARNER) for key in weights) == (name in WITH_PARAMETERS)
    same = TaskBatch(batch.support_x, batch.support_y, batch.query_x, batch.query_y)
    outputs = learner.adapt(network, weights, same, "classification", learner.steps)[:, 0]
    chosen = outputs.argmax(dim=-1)
    expected = {f"{number}.png": f"class{guess}" for number, guess in enumerate(chosen[-1].tolist())}
    assert {Path(row.source).name: row.predicted for row in adapted.predictions} == expected
    assert adapted.curve == pytest.approx((chosen == batch.query_y[0]).float().mean(dim=1).tolist())
