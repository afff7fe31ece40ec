"""Refusals of learners: networks that they cannot adapt, and options out of range."""

import pytest
import torch
from helpers.evaluators import Blobs, TinyConv, only, seeded  # noqa: F401  # fixture
from helpers.variants import each_learner  # noqa: F401  # fixtures
from torch import nn

from nas import registry
from nas.errors import ConfigError, SpaceError
from nas.evaluators.learners import Anil, Reptile
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.search_spaces import Conv4, Mlp40


def test_anil_refuses_a_network_without_a_linear_layer():
    network = nn.Sequential(nn.Flatten(), nn.Bilinear(1, 1, 1))
    with pytest.raises(
        SpaceError,
        match=r"linear head, but .* an nn\.Linear .* layers to run is layer '1' \(Bilinear\)",
    ):
        Anil().check(network, torch.rand(2, 1))
    with pytest.raises(SpaceError, match="linear head"):
        Anil().check(nn.Linear(1, 1), torch.rand(2, 1))


@pytest.mark.parametrize("last", [nn.Tanh(), nn.Flatten(0)], ids=["another function", "another shape"])
def test_anil_refuses_work_after_the_last_linear_layer(last):
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), last)
    with pytest.raises(SpaceError, match=r"does more after its head, layer '2'"):
        Anil().check(network, torch.rand(2, 3))


@pytest.mark.parametrize("space", [Conv4(4), Mlp40(), TinyConv()], ids=lambda space: space.name)
def test_no_learner_refuses_an_ordinary_network(learner, space):
    family = Sinusoid() if space.name == "mlp40" else Blobs()
    network = build(space, only(space), family.shape, Normalisation(), learner=learner, seed=0)
    learner.check(network, torch.rand(2, *family.shape.input_shape))


BAD = [("steps", 0), ("inner_lr", 0.0), ("inner_lr", -1.0), ("outer_lr", 0.0), ("outer_lr", float("nan"))]
BAD += [("first_order", -0.1), ("first_order", 1.5), ("first_order", float("nan"))]
BAD += [("penalty", 0.0), ("temperature", -1.0), ("train_steps", -1)]
REFUSED = [
    (name, option, value)
    for name in registry.names("learner")
    for option, value in BAD
    if option in registry.options_of(registry.find("learner", name))
]


@pytest.mark.parametrize("name, option, value", REFUSED)
def test_options_out_of_range_are_refused(name, option, value):
    with pytest.raises(ConfigError, match=f"{name} {option} = {value}"):
        registry.find("learner", name)(**{option: value})


@pytest.mark.parametrize("option", ["train_steps", "batch"])
def test_reptile_refuses_to_train_on_nothing(option):
    with pytest.raises(ConfigError, match=f"{option} = 0"):
        Reptile(**{option: 0})
