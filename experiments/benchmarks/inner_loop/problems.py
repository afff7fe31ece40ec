"""Problems of the benchmark: a network, tasks and a learner, the same for all contenders."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.evaluators.learners import Anil, Maml
from nas.evaluators.tasks.sinusoid import Sinusoid
from nas.search_spaces.plain.network import conv4, mlp
from nas.task import Kind, TaskBatch, TaskShape

WAYS, SHOTS, QUERIES, SIDE = 5, 1, 15, 28


@dataclass(frozen=True)
class Work:
    """Work of a row.

    Attributes:
        name: Name in the table.
        widths: Width of conv4, or in regression the widths of an MLP's hidden layers.
        tasks: Tasks in a batch.
        learner: Our learner.
        kind: Kind of the tasks.
    """

    name: str
    widths: tuple[int, ...]
    tasks: int
    learner: Maml | Anil
    kind: Kind = "classification"

    def problem(self, number: int, device: torch.device) -> Problem:
        """The problem with batch `number` of tasks; equal numbers give equal problems."""
        first = number * self.tasks
        if self.kind == "regression":
            batch = Sinusoid(shots=5, queries=10).tasks("train", range(first, first + self.tasks), device)
        else:
            batch = _images(self.tasks, first, device)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            if self.kind == "regression":
                network = mlp(self.widths, "relu", TaskShape((1,), 1, self.kind))
            else:
                network = conv4(self.widths[0], TaskShape((1, SIDE, SIDE), WAYS, self.kind))
        body = mlp_body if self.kind == "regression" else conv4_body
        return Problem(network.to(device), body, batch, self.kind, self.learner)


@dataclass(frozen=True)
class Problem:
    """Network and tasks to compute the meta-gradient of.

    Attributes:
        network: Network, whose batch normalisation uses the statistics of its input batch.
        body: The network without its head, as a function of its parameters in order and of its inputs.
        batch: Batch of tasks.
        kind: Kind of the tasks.
        learner: Our learner; the peers take its inner rate and number of steps.
    """

    network: nn.Module
    body: Callable[[Sequence[Tensor], Tensor], Tensor]
    batch: TaskBatch
    kind: Kind
    learner: Maml | Anil

    def to(self, dtype: torch.dtype) -> Problem:
        """The same problem in another floating-point type."""
        arrays = {name: x.to(dtype) if x.is_floating_point() else x for name, x in _arrays(self.batch).items()}
        return replace(self, network=copy.deepcopy(self.network).to(dtype), batch=TaskBatch(**arrays))

    def for_peers(self) -> tuple[nn.Module, list[tuple[Tensor, ...]]]:
        """A copy of the network, and the tasks one by one as (support x, support y, query x, query y).

        On the CPU, images have the memory format channels last, which is faster for the peers.
        """
        network, tasks = copy.deepcopy(self.network), zip(*_arrays(self.batch).values(), strict=True)
        if self.kind == "regression" or self.batch.query_x.device.type != "cpu":
            return network, list(tasks)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its types lack this
        return network, [tuple(map(_channels_last, task)) for task in tasks]

    def forward(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """The network's output with these parameters."""
        return F.linear(self.body(weights, x), weights[-2], weights[-1])

    def loss(self, predicted: Tensor, y: Tensor) -> Tensor:
        """Mean loss of predictions."""
        return F.mse_loss(predicted, y) if self.kind == "regression" else F.cross_entropy(predicted, y)


def conv4_body(weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """`conv4` without its head; its parameters are four times a weight, a scale and a shift."""
    for i in range(0, 12, 3):
        x = F.conv2d(x, weights[i], stride=2, padding=1)
        x = F.relu(F.batch_norm(x, None, None, weights[i + 1], weights[i + 2], training=True))
    return x.mean((2, 3))


def mlp_body(weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """`mlp` with ReLU, without its head; its parameters are each layer's weight and bias."""
    for i in range(0, len(weights) - 2, 2):
        x = F.linear(x, weights[i], weights[i + 1]).relu()
    return x


def _images(tasks: int, seed: int, device: torch.device) -> TaskBatch:
    """A batch of noise images; no time depends on what images show."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(tasks, WAYS * (SHOTS + QUERIES), 1, SIDE, SIDE, generator=generator).to(device)
    labels = torch.arange(WAYS, device=device)
    support, query = (labels.repeat_interleave(count).expand(tasks, -1) for count in (SHOTS, QUERIES))
    return TaskBatch(x[:, : WAYS * SHOTS], support, x[:, WAYS * SHOTS :], query)


def _arrays(batch: TaskBatch) -> dict[str, Tensor]:
    return {name: getattr(batch, name) for name in ("support_x", "support_y", "query_x", "query_y")}


def _channels_last(x: Tensor) -> Tensor:
    """Images (examples, 1, height, width) with the strides of channels last, other tensors as they are."""
    if x.dim() != 4:
        return x
    _, channels, height, width = x.shape
    return x.contiguous().as_strided(x.shape, (channels * height * width, 1, width * channels, channels))
