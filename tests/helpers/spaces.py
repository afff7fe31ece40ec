"""Laws of search spaces of images beyond those of `check_space`, and layers by their definitions."""

from __future__ import annotations

import importlib.util
import random

import torch
from helpers.evaluators import CPU, Blobs, doubled, weights_of
from helpers.learners import same, slow_meta_gradient
from torch.nn import functional as F

from nas.evaluators.learners import Maml
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.export import source
from nas.space import replay, sample
from nas.task import TaskShape


def samples(space, number, seed=0):
    """What random architectures of a space decide."""
    rng = random.Random(seed)
    return [replay(space, sample(space, rng)) for _ in range(number)]


def shaken(network):
    """In float64, with every parameter away from where it starts."""
    for p in network.double().parameters():
        p.data += 0.1 * torch.randn_like(p)
    return network


def check_export(network, shape, folder):
    """The exported source, with the weights, computes what the network computes."""
    written = source(network, input_shape=shape.input_shape)
    (folder / "model.py").write_text(written.text)
    spec = importlib.util.spec_from_file_location("exported_model", folder / "model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    again, weights = model.Network(), weights_of(network)
    assert sorted(written.weights.values()) == sorted(weights)
    again.load_state_dict({flat: weights[path].clone() for flat, path in written.weights.items()})
    x = torch.rand(6, *shape.input_shape)
    assert torch.allclose(again(x), network(x), rtol=1e-5, atol=1e-6)


def check_second_order(space, seed=0):
    """One random network gets, in float64, the second-order meta-gradient of MAML that a plain loop computes."""
    family, learner = Blobs(shots=2), Maml(steps=1)
    shape = TaskShape((2, 8, 8), family.shape.num_outputs)
    architecture = sample(space, random.Random(seed))
    network = shaken(build(space, architecture, shape, Normalisation(), learner=learner, seed=3))
    batch = doubled(family.tasks("train", range(2), CPU))
    images = [torch.rand(*y.shape, *shape.input_shape, dtype=torch.float64) for y in (batch.support_y, batch.query_y)]
    batch = type(batch)(images[0], batch.support_y, images[1], batch.query_y, batch.classes)
    loss, gradients = learner.meta_gradient(network, weights_of(network), batch, "classification")
    expected, slow = slow_meta_gradient(learner, network, weights_of(network), batch)
    assert same(loss, expected)
    for name, gradient in gradients.items():
        assert same(gradient, slow[name]), (name, replay(space, architecture))
    assert all(bool(g.any()) for g in gradients.values())


# --- layers ----------------------------------------------------------------------------------------------------------


def normalised(x, scale, shift):
    """By mean and variance of each channel over the batch."""
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)


def neighbours(x, size):
    """Those of each pixel in a square around it: (size², *x.shape), minus infinity outside of the image."""
    reach, (height, width) = size // 2, x.shape[2:]
    padded = F.pad(x, (reach,) * 4, value=-torch.inf)
    places = [padded[..., i : i + height, j : j + width] for i in range(size) for j in range(size)]
    return torch.stack(places)


def largest(x, size):
    return neighbours(x, size).amax(dim=0)


def average(x, size):
    """Of the neighbours that there are."""
    around = neighbours(x, size)
    there = around > -torch.inf
    return torch.where(there, around, 0).sum(dim=0) / there.sum(dim=0)


def pixels(x, stride):
    """Every stride-th, from the first."""
    return x[..., ::stride, ::stride]
