"""The outer loop: meta-training a network's initial weights with a learner, deterministically."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from nas.errors import DataError, NasError
from nas.protocols import CARRIED, Learner, TaskFamily
from nas.task import TaskBatch

from ..networks.weights import read_tensors, write_tensors
from ..tasks.drawing import draw
from .cuda_graph import Recorded
from .microbatches import part_of

log = logging.getLogger(__name__)
SEEDS_APART = 2**32
"""Training tasks of seed s are numbered from s * SEEDS_APART, so that seeds never share one."""
STEPS_PER_CHECK = 10
DRAWN_AT_ONCE = {"cpu": 1, "cuda": 256}
"""Tasks that are drawn at once on a device, for the outer steps to come. On a GPU a draw is many small kernels, and
takes as long for one step's tasks; a CPU is faster with what fits its cache."""
STEP, WEIGHT = "outer_step", "weight"


@dataclass(frozen=True)
class OuterLoop:
    """How weights are meta-trained: `budget` steps of `tasks_per_step` training tasks each.

    budget         the steps of the whole schedule; a training may stop before, and go on later
    train_queries  queries a class (a task, in regression); 0 takes all
    anneal         the learning rate falls linearly to zero over the budget
    """

    budget: int
    tasks_per_step: int
    train_queries: int
    anneal: bool


def advance_from(checkpoint: Path, training: MetaTraining, to: int, label: Mapping[str, str]) -> int:
    """Trains a new training on to step `to`, from the stage that a file holds, and returns how many steps that took.

    The new stage is left in the file, unless that holds a later one or the schedule is at its end. A file that is lost,
    damaged or of another label is no error: the training starts from its beginning. Nor is one that cannot be written.
    Raises NasError as `advance`.
    """
    later = False
    with suppress(DataError):
        state = read_tensors(checkpoint, label)
        later = STEP in state and int(state[STEP]) > to
        if not later:
            training.restore(state)
    begun = training.step
    training.advance(to)
    if begun < to < training.loop.budget and not later:
        try:
            write_tensors(training.state(), checkpoint, label)
        except (OSError, SafetensorError) as error:  # as of a full disk: no fault of the candidate's
            log.warning("the stage after outer step %d cannot be kept, and will be computed again: %s", to, error)
    return to - begun


class MetaTraining:
    """The meta-training of a network's parameters, in place, on the device where they are.

    Taken up from its `state`, it goes on bit for bit as if it had never stopped. `step` counts the outer steps taken.
    """

    def __init__(self, network: nn.Module, family: TaskFamily, learner: Learner, loop: OuterLoop, seed: int) -> None:
        self.step = 0
        self.loop = loop
        self._network, self._family, self._learner, self._seed = network, family, learner, seed
        self._parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self._device = next(iter(self._parameters.values())).device
        self._moved = {name: p for name, p in self._parameters.items() if not name.startswith(CARRIED)}
        self._optimizer = _optimizer(learner, list(self._moved.values()))
        self._rate = self._optimizer.param_groups[0]["lr"]
        # Looking at a number waits for the device, so these stay there: whether all were finite, and for which steps.
        self._sound = torch.ones((), dtype=torch.bool, device=self._device)
        self._sound_steps = torch.zeros((), dtype=torch.int64, device=self._device)
        self._drawn: tuple[range, TaskBatch] | None = None

    def advance(self, to: int) -> None:
        """Trains on until `to` outer steps are taken, of the loop's `budget`.

        Raises NasError, with the first such step, when the outer loss or a parameter stops being finite.
        """
        apply = Recorded(self._apply, self._device)
        for step in range(self.step, to):
            if self.loop.anneal:
                self._rate.fill_(self._learner.outer_lr * (1 - step / self.loop.budget))
            apply(self._draw(step), self._learner.at(step / self.loop.budget))
            self.step = step + 1
            if self.step % STEPS_PER_CHECK == 0 or self.step == to:
                self._check_finite()
        self._optimizer.zero_grad()

    def state(self) -> dict[str, Tensor]:
        """What `restore` takes: the step, the weights and what the outer optimizer keeps of each, by name."""
        state = {STEP: torch.tensor(self.step)}
        for name, p in self._parameters.items():
            kept = {WEIGHT: p, **self._optimizer.state.get(p, {})}
            state |= {f"{slot}:{name}": value.detach().clone() for slot, value in kept.items()}
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Takes up the training that a state is of. Raises DataError, and changes nothing, where it is another's."""
        slots: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            slot, _, name = key.partition(":")
            slots.setdefault(slot, {})[name] = value
        step, weights = slots.pop(STEP, {}).get(""), slots.pop(WEIGHT, {})
        same = _shapes(weights) == _shapes(self._parameters)
        same = same and all(s.keys() == self._moved.keys() for s in slots.values())
        if step is None or not same:
            raise DataError("this is the state of another network's meta-training; train this one from the start")
        with torch.no_grad():
            for name, p in self._parameters.items():
                p.copy_(weights[name])
            for name, p in self._moved.items():
                self._optimizer.state[p] = {slot: _kept_for(p, values[name]) for slot, values in slots.items()}
        self.step = int(step)
        self._sound_steps.fill_(self.step)

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
        """One outer step on a batch. It asks the device for no number, so that nothing waits."""
        weights = {name: p.detach() for name, p in self._parameters.items()}
        loss, gradients = learner.meta_gradient(self._network, weights, batch, self._family.shape.kind)
        for name, p in self._moved.items():
            # Fused Adam takes a gradient to be laid out in memory as its parameter is, and does not look.
            p.grad = torch.empty_like(p).copy_(gradients[name])
        for name in weights.keys() - self._moved.keys():
            weights[name].copy_(gradients[name])
        self._optimizer.step()
        numbers = [loss, *(w for w in weights.values() if w.numel() > 0)]
        self._sound &= nn.utils.get_total_norm(numbers, math.inf).isfinite()
        self._sound_steps += self._sound

    def _check_finite(self) -> None:
        if not bool(self._sound):
            raise NasError(
                f"meta-training diverged: the loss or a weight is not finite at outer step {int(self._sound_steps) + 1}"
            )


def _optimizer(learner: Learner, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """With a rate that can be changed in place, and a state that stays on the device, so that steps can be recorded."""
    device = parameters[0].device
    # On a GPU torch's fused optimizers read the rate as a float32.
    precision = torch.float32 if device.type == "cuda" else torch.float64
    rate = torch.tensor(learner.outer_lr, dtype=precision, device=device)
    if learner.outer_optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, fused=True)
    return torch.optim.Adam(parameters, lr=rate, fused=True, capturable=device.type == "cuda")


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _kept_for(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """What an optimizer kept of a parameter, on its device and, where there is a number a weight, laid out like it."""
    like = parameter if value.shape == parameter.shape else value
    return torch.empty_like(like, dtype=value.dtype, device=parameter.device).copy_(value)
