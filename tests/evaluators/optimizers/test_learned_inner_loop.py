"""MAML with a learned optimizer in the inner loop, against a loop over tasks with the torch optimizer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from helpers.evaluators import CPU, NARROW, Blobs, TinyConv, doubled, weights_of
from torch.func import functional_call
from torch.nn import functional as F

from nas.errors import ConfigError, DataError
from nas.evaluators import MetaEvaluator
from nas.evaluators.learners import Maml
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.optimizers.files import ExportedOptimizer
from nas.evaluators.optimizers.learned import LearnedOptimizer
from nas.evaluators.optimizers.lstm import LstmSpec, initial_weights
from nas.evaluators.optimizers.seeds import generator_of
from nas.evaluators.protocol_options import options_of

SPEC = LstmSpec(hidden=3)
EXPORTED = ExportedOptimizer(SPEC, initial_weights(SPEC, generator_of(0)))


def written(folder, exported=EXPORTED):
    folder.mkdir(exist_ok=True)
    for name, content in exported.contents().items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def learner(tmp_path):
    return Maml(order=1, steps=3, inner_optimizer="learned", optimizer=written(tmp_path / "optimizer"))


def network_of(learner):
    return build(TinyConv(), NARROW, Blobs(shots=2).shape, Normalisation("none", False), learner=learner, seed=3)


def slow_curve(network, weights, batch, task, steps):
    """Predictions of one task after each step of the torch optimizer."""
    own = {name: p.detach().clone().requires_grad_() for name, p in weights.items()}
    optimizer = LearnedOptimizer(
        own.values(), replace(EXPORTED, weights={n: w.double() for n, w in EXPORTED.weights.items()})
    )
    curve = [functional_call(network, own, batch.query_x[task])]
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(functional_call(network, own, batch.support_x[task]), batch.support_y[task]).backward()
        optimizer.step()
        curve.append(functional_call(network, own, batch.query_x[task]))
    return curve, own


def test_each_task_is_adapted_as_by_the_torch_optimizer(learner):
    network, batch = network_of(learner).double(), doubled(Blobs(shots=2).tasks("train", range(3), CPU))
    found = learner.adapt(network, weights_of(network), batch, "classification", 3)
    for task in range(3):
        expected, _ = slow_curve(network, weights_of(network), batch, task, 3)
        torch.testing.assert_close(found[:, task], torch.stack(expected).detach(), atol=1e-9, rtol=1e-7)


def test_the_outer_gradient_is_that_after_constant_updates(learner):
    network, batch = network_of(learner).double(), doubled(Blobs(shots=2).tasks("train", range(3), CPU))
    loss, gradients = learner.meta_gradient(network, weights_of(network), batch, "classification")
    total, expected = 0.0, dict.fromkeys(gradients, 0.0)
    for task in range(3):
        curve, own = slow_curve(network, weights_of(network), batch, task, 3)
        query = F.cross_entropy(curve[-1], batch.query_y[task]) / 3
        total += query.item()
        for name, gradient in zip(own, torch.autograd.grad(query, list(own.values())), strict=True):
            expected[name] = expected[name] + gradient
    assert loss.item() == pytest.approx(total)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-9, rtol=1e-6)


def test_the_protocol_has_the_optimizers_digest_and_not_its_place(learner, tmp_path):
    protocol = options_of(learner)
    assert protocol["learned"] == EXPORTED.describe()
    assert "optimizer" not in protocol
    json.dumps(protocol)
    moved = replace(learner, optimizer=written(tmp_path / "moved"))
    assert options_of(moved) == protocol
    other = ExportedOptimizer(SPEC, initial_weights(SPEC, generator_of(1)))
    assert options_of(replace(learner, optimizer=written(tmp_path / "other", other))) != protocol
    assert not {"learned", "optimizer"} & options_of(Maml()).keys()


def test_an_architecture_is_scored_with_it(learner):
    evaluator = MetaEvaluator(
        space=TinyConv(), tasks=Blobs(shots=2), learner=learner, device="cpu", tasks_per_step=2, validation_tasks=4
    )
    score = evaluator.evaluate(NARROW, budget=2, seed=0)
    assert len(score.per_task) == 4


def test_an_export_is_refused(learner):
    network = network_of(learner)
    with pytest.raises(ConfigError, match=r'"learned" cannot be exported, .*; train with inner_optimizer = "sgd"'):
        learner.adaptation(network, weights_of(network), "classification")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"optimizer": None}, "give inner_optimizer = .*together, or neither"),
        ({"inner_optimizer": "sgd"}, "give inner_optimizer = .*together, or neither"),
        ({"order": 2}, "give order = 1"),
        ({"learn_lr": True}, "leave out learn_lr"),
    ],
)
def test_options_that_do_not_fit_are_refused(learner, options, message):
    with pytest.raises(ConfigError, match=message):
        replace(learner, **options)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="is no folder of a learned optimizer"):
        Maml(order=1, inner_optimizer="learned", optimizer=tmp_path / "none")
