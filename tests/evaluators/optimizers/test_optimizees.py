"""Functions to minimise against torch's own modules, one at a time."""

from __future__ import annotations

import gzip
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nas.errors import ConfigError, DataError
from nas.evaluators.optimizers.classifiers import ConvNet, Mlp
from nas.evaluators.optimizers.image_data import Images
from nas.evaluators.optimizers.opponents import OPPONENTS, losses_of, rates, tuned
from nas.evaluators.optimizers.problems import Optimizee
from nas.evaluators.optimizers.quadratics import Quadratics
from nas.evaluators.optimizers.seeds import generator_of
from nas.evaluators.optimizers.training import LOSS_LIMIT

CPU = torch.device("cpu")


@pytest.fixture
def images(tmp_path):
    """A folder of small files in the form of Fashion-MNIST's."""
    generator = np.random.default_rng(0)
    for stem, count in (("train", 30), ("t10k", 12)):
        pixels = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = generator.integers(0, 10, count, dtype=np.uint8)
        for name, array in ((f"{stem}-images-idx3-ubyte", pixels), (f"{stem}-labels-idx1-ubyte", labels)):
            sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = b"\0\0\x08" + bytes([array.ndim]) + sizes + array.tobytes()
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    return tmp_path


def module_of(optimizee):
    if isinstance(optimizee, ConvNet):
        first, second = optimizee.channels, 2 * optimizee.channels
        convolutions = [nn.Conv2d(1, first, 3, 2, 1), nn.ReLU(), nn.Conv2d(first, second, 3, 2, 1), nn.ReLU()]
        return nn.Sequential(nn.Unflatten(1, (1, 28)), *convolutions, nn.Flatten(), nn.Linear(49 * second, 10))
    activation = nn.Sigmoid if optimizee.activation == "sigmoid" else nn.ReLU
    sizes = [784, *[optimizee.units] * optimizee.layers]
    hidden = [m for n, k in pairwise(sizes) for m in (nn.Linear(n, k), activation())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], 10))


@pytest.mark.parametrize(
    "kind, options",
    [(Mlp, {"units": 5}), (Mlp, {"units": 4, "layers": 2, "activation": "relu"}), (ConvNet, {"channels": 3})],
)
def test_losses_of_many_networks_are_those_of_torchs_modules(images, kind, options):
    optimizee = kind(batch=6, path=images, **options)
    assert isinstance(optimizee, Optimizee)
    problem = optimizee.problem(generator_of(0), 3, "train", CPU)
    losses, gradients = problem.loss_and_gradient(problem.start, 4)
    pixels, labels = optimizee.images.examples("train")
    seed = generator_of(0)
    chosen = torch.randint(15, (3, 6), generator=generator_of(int(torch.randint(2**31, (), generator=seed)), 4))
    assert sum(problem.sizes) == problem.start.shape[1]
    for function in range(3):
        module = module_of(optimizee)
        nn.utils.vector_to_parameters(problem.start[function], module.parameters())
        loss = F.cross_entropy(module(pixels[chosen[function]] / 255.0), labels[chosen[function]])
        loss.backward()
        torch.testing.assert_close(losses[function], loss.detach())
        torch.testing.assert_close(
            gradients[function], nn.utils.parameters_to_vector(p.grad for p in module.parameters())
        )


def test_initial_weights_have_the_deviation_of_torchs_layers(images):
    start = Mlp(units=50, path=images).problem(generator_of(0), 4, "train", CPU).start
    assert start[:, : 784 * 50].std().item() == pytest.approx((3 * 784) ** -0.5, rel=0.02)
    assert start[:, -510:].std().item() == pytest.approx((3 * 50) ** -0.5, rel=0.1)


def test_the_same_step_has_the_same_minibatch_and_another_another(images):
    problem = Mlp(path=images, batch=4).problem(generator_of(0), 2, "test", CPU)
    first, again, other = (problem.loss(problem.start, step) for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_parts_of_the_images_are_disjoint(images):
    data = Images(images)
    train, validation = data.examples("train")[0], data.examples("validation")[0]
    assert (len(train), len(validation), len(data.examples("test")[0])) == (15, 15, 12)


def test_missing_images_name_the_package(tmp_path):
    with pytest.raises(DataError, match="is missing; apt install dataset-fashion-mnist"):
        Images(tmp_path).examples("train")


def test_images_without_their_classes_are_refused(images):
    (images / "train-labels-idx1-ubyte.gz").write_bytes((images / "t10k-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(DataError, match="do not hold images of 28 x 28 pixels and their classes"):
        Images(images).examples("train")


@pytest.mark.parametrize(
    "kind, options, name",
    [(Mlp, {"units": 0}, "units"), (Mlp, {"activation": "tanh"}, "activation"), (Quadratics, {"dimension": 0}, "dim")],
)
def test_options_out_of_range_are_refused(kind, options, name):
    with pytest.raises(ConfigError, match=f"{name}.* = .*it must be"):
        kind(**options)


@pytest.mark.parametrize("opponent", OPPONENTS)
def test_opponents_are_torchs_optimizers(opponent):
    kind, options = {
        "sgd": (torch.optim.SGD, {}),
        "nag": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        "rmsprop": (torch.optim.RMSprop, {}),
        "adam": (torch.optim.Adam, {}),
    }[opponent]
    problem = Quadratics(4).problem(generator_of(0), 3, "test", CPU)
    found = losses_of(opponent, 0.01, problem, 8)
    parameters = problem.start.clone().requires_grad_()
    optimizer = kind([parameters], lr=0.01, **options)
    for losses in found:
        optimizer.zero_grad()
        loss = problem.loss(parameters, 0)
        torch.testing.assert_close(losses, loss.detach(), rtol=1e-5, atol=1e-5)
        loss.sum().backward()
        optimizer.step()


def test_a_tuned_rate_is_the_best_of_the_grid():
    assert rates(0.01, 1.0, 2) == [0.01, 0.0316, 0.1, 0.316, 1.0]
    problem = Quadratics(4).problem(generator_of(0), 8, "validation", CPU)
    best = tuned("sgd", [1e-5, 0.01, 1e3], problem, 10)
    assert best.rate == 0.01
    assert best.losses[1e3] == pytest.approx(LOSS_LIMIT)
