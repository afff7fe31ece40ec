"""Tasks and a network that are small enough to meta-train in a test, and a network run with given weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.evaluators.tasks.counter_hash import choose, fold, task_keys, uniform
from nas.space import enumerate_all
from nas.task import TaskBatch, TaskShape

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Blobs:
    """Images of 4×4 pixels: the first row is the class's own, new in each task; the other rows are noise, and louder.

    So one example says little to a network that has not learned which pixels matter. The numbers of the classes among
    those of the split say nothing about the images.
    """

    ways: int = 3
    shots: int = 1
    queries: int = 4
    seed: int = 0
    name = "blobs"

    @property
    def shape(self) -> TaskShape:
        return TaskShape((1, 4, 4), self.ways)

    def check(self) -> None:
        pass

    def classes(self, split: Any) -> list[str]:
        return list("abcdefg")

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}

    def tasks(self, split: Any, indices: Sequence[int], device: torch.device) -> TaskBatch:
        keys = task_keys(seed=self.seed, split=split, indices=indices, device=device)
        examples = self.shots + self.queries
        x = 4 * uniform(fold(keys, 0), self.ways * examples * 16).reshape(-1, self.ways, examples, 4, 4) - 2
        x[..., 0, :] /= 8
        x[..., 0, :] += 4 * uniform(fold(keys, 1), self.ways * 4).reshape(-1, self.ways, 1, 4) - 2
        x = x.float().unsqueeze(3)
        y = torch.arange(self.ways, device=device)
        return TaskBatch(
            support_x=x[:, :, : self.shots].flatten(1, 2),
            support_y=y.repeat_interleave(self.shots).repeat(len(keys), 1),
            query_x=x[:, :, self.shots :].flatten(1, 2),
            query_y=y.repeat_interleave(self.queries).repeat(len(keys), 1),
            classes=choose(fold(keys, 2), population=7, count=self.ways),
        )


class TinyConv:
    """A convolution, batch normalisation, tanh, and a linear head, of a width to choose. Gradients are smooth."""

    name = "tiny-conv"

    def decide(self, choose: Any) -> int:
        return choose("width", (4, 8))

    def build(self, spec: int, task: TaskShape) -> nn.Module:
        pixels = (task.input_shape[1] - 1) * (task.input_shape[2] - 1)
        return nn.Sequential(
            nn.Conv2d(task.input_shape[0], spec, 2, bias=False),
            nn.BatchNorm2d(spec, track_running_stats=False),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(spec * pixels, task.num_outputs),
        )


NARROW, WIDE = enumerate_all(TinyConv())


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def only(space: Any) -> Architecture:
    """The first architecture of a space."""
    return next(enumerate_all(space))


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def with_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the network that computes with these very tensors, so that gradients flow back through them."""
    copied = copy.deepcopy(network)
    for name, tensor in weights.items():
        owner, _, attribute = name.rpartition(".")
        module = copied.get_submodule(owner)
        del module._parameters[attribute]
        setattr(module, attribute, tensor)
    return copied


def doubled(batch: TaskBatch) -> TaskBatch:
    """The batch in float64."""
    return each(batch, lambda x: x.double() if x.is_floating_point() else x)


def each(batch: TaskBatch, change: Callable[[Tensor], Tensor]) -> TaskBatch:
    """The batch with each of its tensors changed."""
    return replace(batch, **{name: change(x) for name, x in vars(batch).items() if x is not None})


def one_task(batch: TaskBatch, task: int) -> TaskBatch:
    """A batch of one of the tasks of a batch."""
    return each(batch, lambda x: x[task : task + 1])
