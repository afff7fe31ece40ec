"""The training loop equals an independent loop with torch's own layers and optimizers, and continues bit for bit."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from helpers.evaluators import NARROW, TinyConv
from torch import nn

from nas.errors import DataError, NasError
from nas.evaluators.networks.building import assemble
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.supervised_training.crop_and_flip import crop_and_flip
from nas.evaluators.supervised_training.loop import Schedule, SupervisedTraining, TrainingData, generator_of
from nas.evaluators.supervised_training.optimizers import Adam, Sgd
from nas.task import TaskShape

SCHEDULE = Schedule(epochs=3, batch=8, crop=1, flip=True)


def scaled(x):
    return x.float() / 255


def data(count=30, augmentation=None):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 1, 4, 4), generator=generator, dtype=torch.uint8)
    return TrainingData(images, torch.arange(count) % 3, scaled, augmentation)


def fresh_network(norm="running"):
    torch.manual_seed(0)
    return assemble(TinyConv(), NARROW, TaskShape((1, 4, 4), 3), Normalisation(norm, head_norm=False))


def plain_network():
    torch.manual_seed(0)
    network = TinyConv().build(4, TaskShape((1, 4, 4), 3))
    network[1] = nn.BatchNorm2d(4)
    return network


def slow_training(network, optimizer, rate, seed):
    """The schedule by its definition, with torch's own batch normalisation."""
    examples, labels = data().examples, data().labels
    network.train()
    for epoch in range(SCHEDULE.epochs):
        generator = generator_of(seed, epoch)
        order = torch.randperm(30, generator=generator)
        uniforms = torch.rand(30, 3, generator=generator)
        for step, rows in enumerate(torch.tensor_split(order, 4)):
            done = (epoch * 4 + step) / 12
            optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * done))
            images = crop_and_flip(examples[rows], uniforms[rows], padding=1, flip=True)
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(scaled(images)), labels[rows]).backward()
            optimizer.step()
    return network.eval()


def trained(optimizer, seed=5, to=3):
    network = fresh_network()
    SupervisedTraining(network, data(), optimizer, SCHEDULE, seed).advance(to)
    return network


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_it_equals_a_plain_loop(kind):
    network = plain_network()
    if kind == "sgd":
        options = {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
        optimizer, chosen = torch.optim.SGD(network.parameters(), lr=0.1, **options), Sgd(rate=0.1, weight_decay=0.01)
    else:
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, betas=(0.8, 0.99), weight_decay=0.1)
        chosen = Adam(rate=0.01, beta1=0.8, beta2=0.99, weight_decay=0.1)
    slow_training(network, optimizer, optimizer.param_groups[0]["lr"], seed=5)
    x = scaled(data().examples)
    torch.testing.assert_close(trained(chosen)(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", [Sgd(), Sgd(momentum=0.0, nesterov=False), Adam()], ids=["nag", "sgd", "adam"])
@pytest.mark.parametrize("stops", [(1, 3), (2, 3), (1, 2, 3)])
def test_a_training_in_stages_gives_the_same_bits(optimizer, stops):
    expected, state = trained(optimizer).state_dict(), None
    for stop in stops:
        network = fresh_network()
        training = SupervisedTraining(network, data(), optimizer, SCHEDULE, 5)
        if state is not None:
            training.restore(state)
        training.advance(stop)
        assert training.step == stop
        state = training.state()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_the_seed_chooses_the_order():
    same, other = trained(Sgd(), seed=5), trained(Sgd(), seed=6)
    assert torch.equal(trained(Sgd(), seed=5)[0].weight, same[0].weight)
    assert not torch.equal(other[0].weight, same[0].weight)


def test_the_state_of_another_network_is_refused_and_changes_nothing():
    state = SupervisedTraining(fresh_network(), data(), Sgd(), SCHEDULE, 5).state()
    del state["state:0.weight"]
    network = fresh_network()
    training = SupervisedTraining(network, data(), Sgd(), SCHEDULE, 5)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(DataError, match="another network"):
        training.restore(state)
    assert training.step == 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_divergence_is_an_error_that_names_the_epoch():
    training = SupervisedTraining(fresh_network("none"), data(), Sgd(rate=1e6, weight_decay=1e6), SCHEDULE, 0)
    with pytest.raises(NasError, match="not finite in epoch"):
        training.advance(3)


def test_each_epoch_of_each_seed_has_random_numbers_of_its_own():
    firsts = [
        torch.rand(4, generator=generator_of(seed, epoch)).tolist() for seed in (0, 1, 2**31 - 1) for epoch in range(5)
    ]
    assert len({tuple(numbers) for numbers in firsts}) == 15


class Inverted:
    """Inverts each image whose random number is below one half, and keeps what it was given."""

    name, draws = "inverted", 2

    def __init__(self):
        self.seen = []

    def __call__(self, images, uniforms):
        self.seen.append(uniforms)
        assert images.dtype == torch.uint8
        return torch.where((uniforms[:, 0] < 0.5)[:, None, None, None], 255 - images, images)


def test_an_augmentation_gets_random_numbers_of_its_own_for_each_image():
    augmentation = Inverted()
    network = fresh_network()
    SupervisedTraining(network, data(augmentation=augmentation), Sgd(), SCHEDULE, 5).advance(2)
    uniforms = torch.cat(augmentation.seen)
    assert uniforms.shape == (60, 2)
    assert len(uniforms.unique()) == 120
    assert not torch.equal(network[0].weight, trained(Sgd(), to=2)[0].weight)


def test_examples_that_are_no_images_are_left_as_they_are():
    vectors = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    network = nn.Linear(5, 3)
    batches = []
    network.register_forward_pre_hook(lambda module, inputs: batches.append(inputs[0]))
    source = TrainingData(vectors, torch.arange(20) % 3, lambda x: x)
    SupervisedTraining(network, source, Sgd(), replace(SCHEDULE, epochs=1), 0).advance(1)
    rows = torch.cat(batches)
    assert [len(batch) for batch in batches] == [7, 7, 6]
    assert torch.equal(rows.sort(dim=0).values, vectors.sort(dim=0).values)


def test_a_strided_convolution_behind_the_first_gets_torchs_usual_layout():
    """With channels last, oneDNN's gradient of this layer writes beyond its memory (torch 2.13, on a CPU)."""
    layouts = []
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1, stride=2), nn.Flatten(), nn.LazyLinear(3))
    network(torch.zeros(2, 1, 4, 4))
    network[1].register_forward_pre_hook(lambda module, inputs: layouts.append(inputs[0].stride()))
    SupervisedTraining(network, data(), Sgd(), SCHEDULE, 0).advance(1)
    assert set(layouts) == {(16, 4, 2, 1)}
