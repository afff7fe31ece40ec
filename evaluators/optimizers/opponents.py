"""Optimizers made by hand, on many functions at once, with learning rates chosen by a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .problems import Problem
from .training import limited

Opponent = Literal["sgd", "nag", "rmsprop", "adam"]
OPPONENTS: tuple[Opponent, ...] = ("sgd", "nag", "rmsprop", "adam")
MOMENTUM, RMS_DECAY, BETA1, BETA2, EPSILON = 0.9, 0.99, 0.9, 0.999, 1e-8
"""The other constants, which are torch's defaults; Nesterov's momentum is the usual 0.9."""


@dataclass(frozen=True)
class Tuned:
    """An opponent with the learning rate that the search found.

    Attributes:
        opponent: Its name.
        rate: The rate with the least mean loss after the last step, over the functions of the search.
        losses: That mean loss by rate.
    """

    opponent: Opponent
    rate: float
    losses: Mapping[float, float]


def losses_of(opponent: Opponent, rate: float, problem: Problem, steps: int) -> Tensor:
    """Losses (steps + 1, functions) before each step and after the last; as torch.optim's class of that name has it."""
    parameters, losses = problem.start, []
    first, second = torch.zeros_like(parameters), torch.zeros_like(parameters)
    for number in range(steps + 1):
        loss, gradient = problem.loss_and_gradient(parameters, number)
        losses.append(loss)
        if opponent == "nag":
            first = MOMENTUM * first + gradient
            direction = gradient + MOMENTUM * first
        elif opponent == "rmsprop":
            second = RMS_DECAY * second + (1 - RMS_DECAY) * gradient.square()
            direction = gradient / (second.sqrt() + EPSILON)
        elif opponent == "adam":
            first = BETA1 * first + (1 - BETA1) * gradient
            second = BETA2 * second + (1 - BETA2) * gradient.square()
            root = (second / (1 - BETA2 ** (number + 1))).sqrt() + EPSILON
            direction = first / (1 - BETA1 ** (number + 1)) / root
        else:
            direction = gradient
        parameters = parameters - rate * direction
    return torch.stack(losses)


def rates(lowest: float, highest: float, per_decade: int) -> list[float]:
    """A logarithmic grid from the lowest to the highest rate, both included where they are whole steps apart."""
    ratio = 10 ** (1 / per_decade)
    values = [lowest]
    while values[-1] * ratio <= highest * 1.0001:
        values.append(values[-1] * ratio)
    return [float(f"{value:.3g}") for value in values]


def tuned(opponent: Opponent, grid: list[float], problem: Problem, steps: int) -> Tuned:
    """The opponent with the rate of the grid whose mean loss after the last step is least."""
    losses = {rate: limited(losses_of(opponent, rate, problem, steps)[-1]).mean().item() for rate in grid}
    return Tuned(opponent, min(losses, key=lambda rate: losses[rate]), losses)
