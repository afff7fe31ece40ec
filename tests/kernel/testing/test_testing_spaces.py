"""Tests of check_space and check_task_family: sound ones pass, and each law is broken by one that fails by name."""

import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.space import count, enumerate_all
from nas.task import TaskBatch, TaskShape
from nas.testing import ToySpace, check_space, check_task_family

IMAGES = TaskShape((1, 4, 4), 5)


def test_the_toy_space_is_sound_and_has_36_architectures():
    check_space(ToySpace(), task=IMAGES)
    check_space(ToySpace(), task=TaskShape((3,), 1, "regression"))
    assert count(ToySpace()).value == len(set(enumerate_all(ToySpace()))) == 36


# --- search spaces ---------------------------------------------------------------------------------------------------


class Unseeded(ToySpace):
    def decide(self, choose):
        return super().decide(choose), random.random()


class SpecWithoutValue(ToySpace):
    def decide(self, choose):
        super().decide(choose)
        return object()


class ChangingOptions(ToySpace):
    """The number of options of 'b' changes from call to call, so that picks of one call may not suit the next."""

    def __init__(self):
        self.calls = 0

    def decide(self, choose):
        self.calls += 1
        return choose("a", range(2)), choose("b", range(2 + self.calls % 2)), choose("c", range(3 - self.calls % 2))


class Nameless(ToySpace):
    name = ""


class Built(ToySpace):
    """A toy space whose networks are made by a function."""

    def __init__(self, make):
        self.make = make

    def build(self, spec, task):
        return self.make(task)


class Scaled(nn.Module):
    """A linear network whose output is multiplied by a constant."""

    def __init__(self, task, factor, trainable=True):
        super().__init__()
        self.linear = nn.Linear(16, task.num_outputs).requires_grad_(trainable)
        self.factor = factor

    def forward(self, x):
        return self.linear(x.flatten(1)) * self.factor


class RootAtZero(nn.Module):
    """Finite outputs whose gradients are infinite."""

    def __init__(self, task):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(task.num_outputs))

    def forward(self, x):
        return (self.weight.sqrt() + 1).expand(len(x), -1)


def unseeded_network(task):
    network = Scaled(task, 1.0)
    with torch.no_grad():
        network.linear.bias += random.random()
    return network


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (Unseeded(), "two specs for the same picks"),
        (SpecWithoutValue(), "two specs for the same picks"),
        (Nameless(), "name must be a text"),
        (Built(lambda task: Scaled(replace(task, num_outputs=3), 1.0)), r"to \(4, 3\); it must be \(4, 5\)"),
        (Built(lambda task: Scaled(task, float("nan"))), "gives numbers that are not finite"),
        (Built(RootAtZero), "gradients that are not finite"),
        (Built(lambda task: Scaled(task, 0.0)), "no gradient reaches"),
        (Built(lambda task: Scaled(task, 1.0, trainable=False)), "no parameter to train"),
        (Built(unseeded_network), "other weights when built again"),
    ],
)
def test_a_broken_space_is_named(space, reason):
    with pytest.raises(AssertionError, match=reason):
        check_space(space, task=IMAGES)


def test_options_that_change_from_call_to_call_do_not_pass():
    with pytest.raises(Exception, match=r"choice|mutation"):
        check_space(ChangingOptions())


def test_a_network_may_normalise_by_the_batch_which_its_evaluator_replaces():
    made = Built(
        lambda task: nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.BatchNorm1d(4), nn.Linear(4, task.num_outputs))
    )
    check_space(made, task=TaskShape((1, 4, 4), 3))


def test_checking_a_space_leaves_the_global_generators_alone():
    before = random.getstate(), torch.get_rng_state()
    check_space(ToySpace(), task=IMAGES)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


# --- task families ---------------------------------------------------------------------------------------------------


class Noise:
    """Tasks of noise, classification or regression; `spoil` changes a batch before it is returned."""

    name = "noise"

    def __init__(self, shape=IMAGES, spoil=lambda batch, _split, _indices: batch, split_seeds=(0, 1, 2)):
        self.shape, self.spoil = shape, spoil
        self.seeds = dict(zip(("train", "validation", "test"), split_seeds, strict=True))

    def tasks(self, split, indices, device):
        drawn = [self.one(self.seeds[split], index) for index in indices]
        batch = TaskBatch(*(torch.stack(parts).to(device) for parts in zip(*drawn, strict=True)))
        return self.spoil(batch, split, indices)

    def one(self, seed, index):
        generator = torch.Generator().manual_seed(1000 * seed + index)
        parts = []
        for shots in (2, 3):
            examples = shots * self.shape.num_outputs
            parts.append(torch.randn(examples, *self.shape.input_shape, generator=generator))
            if self.shape.kind == "classification":
                parts.append(torch.arange(self.shape.num_outputs).repeat_interleave(shots))
            else:
                parts.append(torch.randn(examples, self.shape.num_outputs, generator=generator))
        return parts


def spoiled(field, change):
    return Noise(spoil=lambda batch, _split, _indices: replace(batch, **{field: change(getattr(batch, field))}))


def leak(batch, _split, _indices):
    return replace(batch, query_x=torch.cat([batch.support_x[:, :1], batch.query_x[:, 1:]], 1))


def subtract_mean_of_batch(batch, _split, _indices):
    return replace(batch, query_x=batch.query_x - batch.query_x.mean())


def cut_last(y):
    return y.index_fill(1, torch.tensor([y.shape[1] - 1]), 0)


def with_classes(numbers):
    """A family whose batches hold class numbers, the same for each task."""
    return Noise(spoil=lambda batch, *_: replace(batch, classes=numbers.expand(len(batch.query_y), -1)))


def test_sound_families_pass():
    check_task_family(Noise())
    check_task_family(with_classes(torch.tensor([4, 0, 7, 1, 9])))
    check_task_family(Noise(TaskShape((1,), 1, "regression")))
    check_task_family(Noise(TaskShape((3,), 2, "regression")))


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        (spoiled("query_x", lambda x: x + torch.rand(())), "differs when drawn again"),
        (Noise(spoil=subtract_mean_of_batch), "query_x of task 3 differs when drawn again, in a batch of its own"),
        (Noise(spoil=leak), "in the support set and among the queries"),
        (Noise(split_seeds=(0, 0, 1)), "same in the splits train and validation"),
        (spoiled("support_x", lambda x: x.double()), "support_x is torch.float64; it must be float32"),
        (spoiled("support_x", lambda x: x / 0), "support_x has numbers that are not finite"),
        (spoiled("query_x", lambda x: x.flatten(2)), r"query_x is \(3, 15, 16\); it must be \(3, 15, 1, 4, 4\)"),
        (spoiled("query_y", lambda y: y.int()), "query_y is torch.int32; it must be int64"),
        (spoiled("query_y", lambda y: y[:, 1:]), r"query_y is \(3, 14\); it must be \(3, 15\)"),
        (spoiled("query_y", lambda y: y + 1), r"query_y holds a class outside \[0, 5\)"),
        (spoiled("query_y", cut_last), "query_y has .* examples of the classes"),
        (spoiled("support_y", lambda y: y.flip(1)), "support_y must be sorted"),
        (with_classes(torch.arange(4)), r"classes is \(3, 4\); it must be \(3, 5\)"),
        (with_classes(torch.arange(5.0)), "classes is torch.float32; it must be int64"),
        (with_classes(torch.tensor([1, 2, 3, 4, 1])), "classes has a class twice in one task"),
        (
            Noise(TaskShape((3,), 2, "regression"), lambda b, _s, _i: replace(b, query_y=b.query_y[..., 0])),
            r"query_y is \(3, 6\); it must be \(3, 6, 2\)",
        ),
    ],
)
def test_a_broken_family_is_named(family, reason):
    with pytest.raises(AssertionError, match=reason):
        check_task_family(family)


def test_tasks_that_are_all_the_same_are_named():
    class Same(Noise):
        def one(self, seed, index):
            return super().one(seed, 0)

    with pytest.raises(AssertionError, match="tasks 3 and 7 are the same"):
        check_task_family(Same())
