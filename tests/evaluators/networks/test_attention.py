"""Attention under learners of second order, against a slow loop."""

import pytest
import torch
from helpers.evaluators import weights_of
from helpers.learners import same, slow_meta_gradient, slow_predictions
from helpers.networks import random_tasks
from helpers.own_networks import SHAPE, made
from torch.nn.attention import SDPBackend, sdpa_kernel

from nas.errors import SpaceError
from nas.evaluators.learners import Anil, FineTune, Maml, MetaSgd, ProtoNet, Reptile, Ridge, Scratch
from nas.evaluators.networks.weights import attach
from nas.task import TaskShape

TASK = TaskShape(SHAPE, 5)
TWICE = [Maml(inner_lr=0.1, steps=2), MetaSgd(inner_lr=0.1, steps=2)]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("learner", TWICE, ids=lambda learner: learner.name)
@pytest.mark.parametrize("name", ["Attention", "Encoder"])
def test_second_order_learners_take_attention(name, learner, training):
    network = made(name)
    learner.check(network, torch.rand(2, *SHAPE))
    attach(network, learner.initial(network, None)).double().train(training)
    weights, batch = weights_of(network), random_tasks(TASK)
    loss, gradients = learner.meta_gradient(network, weights, batch, "classification")
    with sdpa_kernel(SDPBackend.MATH):  # Otherwise the slow loop cannot be differentiated twice.
        slow_loss, slow = slow_meta_gradient(learner, network, weights, batch)
        slow_curve = slow_predictions(learner, network, weights, batch, 2)
    assert same(loss, slow_loss)
    assert [key for key, gradient in slow.items() if not same(gradients[key], gradient)] == []
    assert same(learner.adapt(network, weights, batch, "classification", 2), slow_curve)


OWN_WEIGHTS = [Maml(), Maml(order=1), MetaSgd(), Reptile(), Scratch()]
SHARED = [Anil(), ProtoNet(), Ridge(), FineTune()]


@pytest.mark.parametrize("name", ["Gru", "Lstm"])
def test_recurrent_layers_suit_learners_that_leave_the_body_alone_and_others_say_so(name):
    network, x = made(name), torch.rand(2, *SHAPE)
    for learner in SHARED:
        learner.check(network, x)
    advice = ", ".join(learner.name for learner in SHARED)
    for learner in OWN_WEIGHTS:
        with pytest.raises(SpaceError, match=rf"layer 'body'.* \({advice}\), or write the recurrence as a loop"):
            learner.check(network, x)
    for learner in [*OWN_WEIGHTS, *SHARED]:
        learner.check(made("Cell"), x)
