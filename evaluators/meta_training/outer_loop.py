"""Outer loop: deterministic meta-training of a network's initial weights with a learner."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.errors import DataError, NasError
from nas.protocols import CARRIED, Learner, TaskFamily
from nas.task import TaskBatch
from nas.training_recipe import OuterOptimizer

from ..stages import STEP
from ..tasks.drawing import draw
from .cuda_graph import Recorded
from .microbatches import part_of

SEEDS_APART = 2**32
"""Distance of the training tasks of two seeds: those of seed s are numbered from s * SEEDS_APART."""
STEPS_PER_CHECK = 10
"""Outer steps between two checks that all numbers are finite, each of which waits for the device."""
DRAWN_AT_ONCE = {"cpu": 1, "cuda": 256}
"""Number of tasks that are drawn at once for the next outer steps, by kind of device. On a GPU a draw is many small
kernels and takes as long for the tasks of one step; a CPU is faster with what fits into its cache."""
WEIGHT = "weight"


@dataclass(frozen=True)
class OuterLoop:
    """Options of the meta-training.

    Attributes:
        budget: Outer steps of the whole schedule; a training may stop before the end and go on later.
        tasks_per_step: Training tasks of each step.
        train_queries: Queries of each class (of each task in regression); 0 takes all.
        anneal: Whether the learning rate falls linearly to zero over the budget.
        outer: The outer optimizer; None for the learner's own.
    """

    budget: int
    tasks_per_step: int
    train_queries: int
    anneal: bool
    outer: OuterOptimizer | None = None

    def optimizer(self, learner: Learner) -> OuterOptimizer:
        """The outer optimizer with a learner."""
        return self.outer or OuterOptimizer(learner.outer_optimizer, learner.outer_lr)


class MetaTraining:
    """Meta-training of a network's parameters, in place, on the device where they are.

    After `restore` of its `state` it continues bit for bit as if it had not been interrupted.

    Args:
        network: The network.
        family: Source of the training tasks.
        learner: The inner loop.
        loop: Options of the outer loop.
        seed: Chooses the training tasks, which no other seed shares.

    Attributes:
        step: Number of outer steps taken.
        loop: Options of the outer loop.
    """

    def __init__(self, network: nn.Module, family: TaskFamily, learner: Learner, loop: OuterLoop, seed: int) -> None:
        self.step = 0
        self.loop = loop
        self._network, self._family, self._learner, self._seed = network, family, learner, seed
        self._parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._device = next(iter(self._parameters.values())).device
        # The outer optimizer changes these; each carried parameter takes the value that the learner returns for it.
        self._moved = {name: p for name, p in self._parameters.items() if not name.startswith(CARRIED)}
        self._optimizer = _optimizer(loop.optimizer(learner), list(self._moved.values()))
        self._rate = self._optimizer.param_groups[0]["lr"]
        # Whether all numbers so far were finite, and for how many steps. Both stay on the device, because reading a
        # number from there waits for it.
        self._finite = torch.ones((), dtype=torch.bool, device=self._device)
        self._finite_steps = torch.zeros((), dtype=torch.int64, device=self._device)
        self._drawn: tuple[range, TaskBatch] | None = None

    @property
    def budget(self) -> int:
        """Outer steps of the whole schedule."""
        return self.loop.budget

    def advance(self, to: int) -> None:
        """Continues until `to` outer steps of the loop's budget are taken.

        Raises:
            NasError: The outer loss or a parameter is not finite; the message names the first such step.
        """
        apply = Recorded(self._apply, self._device)
        for step in range(self.step, to):
            if self.loop.anneal:
                self._rate.fill_(self.loop.optimizer(self._learner).rate * (1 - step / self.loop.budget))
            apply(self._draw(step), self._learner.at(step / self.loop.budget))
            self.step = step + 1
            if self.step % STEPS_PER_CHECK == 0 or self.step == to:
                self._check_finite()
        self._optimizer.zero_grad()

    def state(self) -> dict[str, Tensor]:
        """The step, the weights and the outer optimizer's state of each weight, as tensors by name."""
        state = {STEP: torch.tensor(self.step)}
        for name, p in self._parameters.items():
            slots = {WEIGHT: p, **self._optimizer.state.get(p, {})}
            state |= {f"{slot}:{name}": value.detach().clone() for slot, value in slots.items()}
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continues from a state.

        Raises:
            DataError: It is the state of another network's training; nothing is changed.
        """
        slots: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            slot, _, name = key.partition(":")
            slots.setdefault(slot, {})[name] = value
        step, weights = slots.pop(STEP, {}).get(""), slots.pop(WEIGHT, {})
        same = _shapes(weights) == _shapes(self._parameters)
        same = same and all(values.keys() == self._moved.keys() for values in slots.values())
        if step is None or not same:
            raise DataError("this is the state of another network's meta-training; train this one from the start")
        with torch.no_grad():
            for name, p in self._parameters.items():
                p.copy_(weights[name])
            for name, p in self._moved.items():
                self._optimizer.state[p] = {slot: _optimizer_value(p, values[name]) for slot, values in slots.items()}
        self.step = int(step)
        self._finite_steps.fill_(self.step)

    def _draw(self, step: int) -> TaskBatch:
        """The tasks of an outer step."""
        size = self.loop.tasks_per_step
        if self._drawn is None or step not in self._drawn[0]:
            ahead = max(1, DRAWN_AT_ONCE.get(self._device.type, 1) // size)
            steps = range(step, min(step + ahead, self.loop.budget))
            self._drawn = steps, self._draw_all(steps)
        steps, batch = self._drawn
        return part_of(batch, (step - steps.start) * size, (step - steps.start + 1) * size)

    def _draw_all(self, steps: range) -> TaskBatch:
        first, size = self._seed * SEEDS_APART, self.loop.tasks_per_step
        tasks = range(first + steps.start * size, first + steps.stop * size)
        return draw(self._family, "train", tasks, self._device, queries=self.loop.train_queries)

    def _apply(self, batch: TaskBatch, learner: Learner) -> None:
        """One outer step on a batch. It reads no number from the device, which would wait for it."""
        weights = {name: p.detach() for name, p in self._parameters.items()}
        loss, gradients = learner.meta_gradient(self._network, weights, batch, self._family.shape.kind)
        for name, p in self._moved.items():
            # Fused Adam assumes, without a check, that a gradient has the memory layout of its parameter.
            p.grad = torch.empty_like(p).copy_(gradients[name])
        for name in weights.keys() - self._moved.keys():
            weights[name].copy_(gradients[name])
        self._optimizer.step()
        numbers = [loss, *(w for w in weights.values() if w.numel() > 0)]
        self._finite &= nn.utils.get_total_norm(numbers, math.inf).isfinite()
        self._finite_steps += self._finite

    def _check_finite(self) -> None:
        if not bool(self._finite):
            step = int(self._finite_steps) + 1
            raise NasError(
                f"meta-training diverged: the loss or a weight is not finite at outer step {step}; lower the "
                "learning rates"
            )


def _optimizer(outer: OuterOptimizer, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer with its rate and its state as tensors on the device, so that steps can be recorded."""
    device = parameters[0].device
    # On a GPU torch's fused optimizers read the rate as a float32.
    precision = torch.float32 if device.type == "cuda" else torch.float64
    rate = torch.tensor(outer.rate, dtype=precision, device=device)
    if outer.name == "sgd":
        return torch.optim.SGD(parameters, lr=rate, fused=True)
    return torch.optim.Adam(parameters, lr=rate, fused=True, capturable=device.type == "cuda")


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _optimizer_value(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """A value of the optimizer's state on the parameter's device and, where shapes agree, in its memory layout."""
    like = parameter if value.shape == parameter.shape else value
    return torch.empty_like(like, dtype=value.dtype, device=parameter.device).copy_(value)
