"""The outer loop: meta-training a network's initial weights with a learner, deterministically."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nas.errors import NasError
from nas.protocols import Learner, TaskBatch, TaskFamily

SEEDS_APART = 2**32
"""Training tasks of seed s are numbered from s * SEEDS_APART, so that seeds never share one."""
STEPS_PER_CHECK = 10


@dataclass(frozen=True)
class OuterLoop:
    """How weights are meta-trained: `budget` steps of `tasks_per_step` training tasks each.

    train_queries  queries a class (a task, in regression); 0 takes all
    anneal         the learning rate falls linearly to zero over the budget
    """

    budget: int
    tasks_per_step: int
    train_queries: int
    anneal: bool


def meta_train(network: nn.Module, family: TaskFamily, learner: Learner, loop: OuterLoop, seed: int) -> None:
    """Meta-trains the network's parameters in place, on the device where they are.

    Raises NasError, with the step, when the outer loss or a parameter stops being finite.
    """
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    device = next(iter(parameters.values())).device
    optimizer = _optimizer(learner, list(parameters.values()))
    for step in range(loop.budget):
        if loop.anneal:
            optimizer.param_groups[0]["lr"] = learner.outer_lr * (1 - step / loop.budget)
        first = seed * SEEDS_APART + step * loop.tasks_per_step
        batch = family.tasks("train", range(first, first + loop.tasks_per_step), device)
        batch = fewer_queries(
            batch, family.shape.num_outputs, loop.train_queries, family.shape.kind == "classification"
        )
        weights = {name: p.detach() for name, p in parameters.items()}
        loss, gradients = learner.at(step / loop.budget).meta_gradient(network, weights, batch, family.shape.kind)
        for name, p in parameters.items():
            # Fused Adam takes a gradient to be laid out in memory as its parameter is, and does not look.
            p.grad = torch.empty_like(p).copy_(gradients[name])
        optimizer.step()
        # Looking at a number waits for the device, so not at every step.
        if (step + 1) % STEPS_PER_CHECK == 0 or step + 1 == loop.budget:
            _check_finite(loss, parameters, step)
    optimizer.zero_grad()


def fewer_queries(batch: TaskBatch, ways: int, queries: int, by_class: bool) -> TaskBatch:
    """The batch with only the first `queries` queries of each class (of each task, in regression); 0 keeps all."""
    if queries == 0:
        return batch
    groups = ways if by_class else 1

    def first(x: Tensor) -> Tensor:
        return x.reshape(len(x), groups, -1, *x.shape[2:])[:, :, :queries].flatten(1, 2)

    return replace(batch, query_x=first(batch.query_x), query_y=first(batch.query_y))


def _optimizer(learner: Learner, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if learner.outer_optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=learner.outer_lr)
    return torch.optim.Adam(parameters, lr=learner.outer_lr, fused=True)


def _check_finite(loss: Tensor, parameters: dict[str, nn.Parameter], step: int) -> None:
    for name, value in {"the outer loss": loss, **parameters}.items():
        if not bool(torch.isfinite(value).all()):
            raise NasError(f"meta-training diverged: {name} is not finite at outer step {step + 1}")
