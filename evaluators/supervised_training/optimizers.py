"""Optimizers of supervised training, by their options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from nas.bounds import LARGEST_RATE, check_number
from nas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Sgd:
    """Stochastic gradient descent with momentum and weight decay.

    Attributes:
        rate: Learning rate at the start of the schedule, above 0.
        momentum: Factor in [0, 1] by which the last step is repeated.
        weight_decay: Coefficient of the squared norm of all weights in the loss, halved.
        nesterov: Whether the gradient is taken after the repeated step (Sutskever et al., "On the importance of
            initialization and momentum in deep learning", 2013); needs a momentum.
    """

    name: ClassVar[str] = "sgd"
    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = True

    def __post_init__(self) -> None:
        check_number(self.name, "rate", self.rate, 0.0, LARGEST_RATE, above=True)
        check_number(self.name, "momentum", self.momentum, 0.0, 1.0)
        check_number(self.name, "weight_decay", self.weight_decay, 0.0, LARGEST_RATE)
        if self.nesterov and not self.momentum:
            raise ConfigError("sgd nesterov = true needs a momentum above 0; set nesterov = false, or momentum = 0.9")

    def __call__(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters,
            lr=self.rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            fused=True,
        )


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma & Ba, arXiv 1412.6980) with decoupled weight decay (Loshchilov & Hutter, arXiv 1711.05101).

    Attributes:
        rate: Learning rate at the start of the schedule, above 0.
        beta1: Decay of the mean of gradients, in [0, 1).
        beta2: Decay of the mean of their squares, in [0, 1).
        weight_decay: Part of each weight that a step takes away, times the rate.
    """

    name: ClassVar[str] = "adam"
    rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_number(self.name, "rate", self.rate, 0.0, LARGEST_RATE, above=True)
        for option in ("beta1", "beta2"):
            check_number(self.name, option, getattr(self, option), 0.0, 1 - 1e-9)
        check_number(self.name, "weight_decay", self.weight_decay, 0.0, LARGEST_RATE)

    def __call__(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.AdamW(parameters, lr=self.rate, betas=betas, weight_decay=self.weight_decay, fused=True)
