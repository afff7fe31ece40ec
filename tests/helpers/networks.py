"""Checks of any network: learners agree with slow loops on it, and its exported source computes the same."""

from __future__ import annotations

import random

import torch
from helpers.evaluators import weights_of
from helpers.learners import same, slow_meta_gradient, slow_predictions

from nas.evaluators.learners import Anil, Maml, Ridge
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.networks.profile import size
from nas.evaluators.networks.weights import attach
from nas.export import source
from nas.space import replay, sample
from nas.task import TaskBatch

LEARNERS = (Maml(order=2, inner_lr=0.1, steps=2), Anil(inner_lr=0.1, steps=2), Ridge(penalty=0.5))


def check_treatable(space, shape, *, samples=2):
    """Learners, modes of normalisation and the export take random networks of a space of classifiers."""
    for seed in range(samples):
        architecture = sample(space, random.Random(seed))
        for learner in LEARNERS:
            check_learner(learner, space, architecture, shape)
        check_norms(space, architecture, shape)
        check_source(space, architecture, shape)


def check_learner(learner, space, architecture, shape):
    """It does with the network what a slow loop does."""
    network = build(space, architecture, shape, Normalisation(), learner=learner, seed=0)
    attach(network, learner.initial(network, family=None)).double()
    weights = {name: w + 0.05 * torch.randn_like(w) for name, w in weights_of(network).items()}
    batch = random_tasks(shape)
    predictions = learner.adapt(network, weights, batch, "classification", learner.steps)
    assert same(predictions, slow_predictions(learner, network, weights, batch, learner.steps)), learner
    loss, gradients = learner.meta_gradient(network, weights, batch, "classification")
    slow_loss, slow_gradients = slow_meta_gradient(learner, network, weights, batch)
    assert same(loss, slow_loss), learner
    wrong = [name for name, gradient in slow_gradients.items() if not same(gradients[name], gradient)]
    assert wrong == [], learner


def random_tasks(shape, tasks=2):
    """A batch in float64 of numbers without a meaning, 1 shot and 2 queries a class."""
    support_y, query_y = (torch.arange(shape.num_outputs).repeat_interleave(n).repeat(tasks, 1) for n in (1, 2))
    support_x, query_x = (torch.randn(*y.shape, *shape.input_shape, dtype=torch.float64) for y in (support_y, query_y))
    return TaskBatch(support_x, support_y, query_x, query_y)


def check_norms(space, architecture, shape):
    """It can be built for every mode of normalisation, and is of one size in all."""
    modes = ("group", "batch", "none")
    networks = [build(space, architecture, shape, Normalisation(n, False), learner=Maml(), seed=0) for n in modes]
    sizes = [size(network, shape) for network in networks]
    assert sizes[0] == sizes[1] == sizes[2]
    assert min(sizes[0].values()) > 0


def check_source(space, architecture, shape):
    """Its source computes what it computes, with the same parameters."""
    network = space.build(replay(space, architecture), shape)
    written = source(network, input_shape=shape.input_shape)
    namespace = {}
    exec(compile(written.text, "model.py", "exec"), namespace)
    again = namespace["Network"]()
    tensors = network.state_dict()
    assert sorted(written.weights.values()) == sorted(tensors)
    again.load_state_dict({name: tensors[path] for name, path in written.weights.items()})
    x = torch.randn(5, *shape.input_shape)
    assert torch.allclose(again(x), network(x), rtol=1e-5, atol=1e-6)
