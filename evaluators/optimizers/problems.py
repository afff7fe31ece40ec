"""Functions to minimise, many at once: what an optimizer is trained on and measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Problem:
    """Functions of as many parameters, each minimised for itself.

    Attributes:
        start: Initial parameters (functions, coordinates).
        sizes: Sizes of the parameter tensors that a function's coordinates are made of, in order.
        loss: Losses (functions,) of parameters (functions, coordinates) at a step, from 0 on. Where a function is a
            mean over data, the step chooses the examples; the same step always chooses the same.
    """

    start: Tensor
    sizes: tuple[int, ...]
    loss: Callable[[Tensor, int], Tensor]

    def loss_and_gradient(self, parameters: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Losses (functions,) and gradients (functions, coordinates), detached."""
        with torch.enable_grad():
            leaf = parameters.detach().requires_grad_()
            losses = self.loss(leaf, step)
            (gradients,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), gradients


@runtime_checkable
class Optimizee(Protocol):
    """A distribution of functions."""

    @property
    def name(self) -> str:
        """Name in messages and results."""
        ...

    def problem(self, generator: torch.Generator, functions: int, split: Split, device: torch.device) -> Problem:
        """Functions drawn independently.

        Args:
            generator: Source of randomness, on the CPU.
            functions: Number of functions.
            split: Part of the data that they are made of; no difference where there are no data.
            device: Where they are computed.
        """
        ...
