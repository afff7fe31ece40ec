"""What an outer step costs: GFLOPs by a closed form, and means over a learner that changes on the way."""

from dataclasses import replace

import pytest
import torch
from helpers.evaluators import NARROW, Blobs, TinyConv
from torch import nn

from nas.errors import UncountedError
from nas.evaluators.learners import Maml, ProtoNet
from nas.evaluators.meta_training.outer_loop import OuterLoop
from nas.evaluators.meta_training.step_cost import step_cost
from nas.space import replay

LOOP = OuterLoop(100, tasks_per_step=2, train_queries=0, anneal=True)


def network():
    return TinyConv().build(replay(TinyConv(), NARROW), Blobs().shape)


def gflops(learner, *, loop=LOOP, family=None, module=None):
    return step_cost(module or network(), family or Blobs(), learner, loop, "GFLOPs")


def test_gflops_of_prototypes_with_a_linear_layer_are_those_of_three_products():
    """The images by the weights, and back again once: the images themselves need no gradient; then the distances."""
    family = Blobs(ways=3, shots=2, queries=4)
    body, features = nn.Linear(16, 7), 7
    module = nn.Sequential(nn.Flatten(), body, nn.Tanh(), nn.Linear(features, 3))
    examples, tasks = 3 * 6, 2
    products = 2 * (2 * tasks * examples * 16 * features)
    counted = gflops(ProtoNet(), family=family, module=module) * 1e9
    distances = 2 * tasks * 3 * 4 * 3 * features
    assert products <= counted <= products + 4 * distances


def test_gflops_grow_with_tasks_steps_and_order():
    maml = Maml(order=1, steps=2)
    once = gflops(maml)
    assert gflops(maml, loop=replace(LOOP, tasks_per_step=4)) == pytest.approx(2 * once)
    assert gflops(replace(maml, order=2)) > 1.2 * once
    assert gflops(replace(maml, steps=4)) > 1.2 * once


def test_the_cost_is_the_mean_over_a_learner_that_changes_on_the_way():
    first, second = gflops(Maml(order=1, steps=2)), gflops(Maml(order=2, steps=2))
    assert gflops(Maml(order=2, steps=2, first_order=0.5)) == pytest.approx((first + second) / 2)


def test_measuring_changes_nothing():
    module = network()
    before = {name: p.clone() for name, p in module.named_parameters()}
    for unit in ("GFLOPs", "seconds"):
        assert step_cost(module, Blobs(), Maml(), LOOP, unit) > 0
    for name, p in module.named_parameters():
        assert torch.equal(p, before[name])
        assert p.grad is None


class Fourier(nn.Module):
    """A product that no formula counts."""

    def forward(self, x):
        return torch.fft.rfft(x.flatten(1)).abs()


def test_what_cannot_be_counted_is_named():
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), Fourier(), nn.Linear(9, 3))
    with pytest.raises(UncountedError, match=r"FLOPs of .*fft.* cannot be counted, .*take unit = 'seconds'"):
        gflops(ProtoNet(), module=module)
    assert step_cost(module, Blobs(), ProtoNet(), LOOP, "seconds") > 0
