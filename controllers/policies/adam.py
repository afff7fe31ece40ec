"""Gradient descent for parameters of which each loss meets only some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .lstm import Array

MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Moments:
    """Moving averages of a parameter's gradient and of its square, after so many steps."""

    steps: int
    mean: Array
    square: Array

    def updated(self, gradient: Array) -> Moments:
        """The moments after one more gradient."""
        return Moments(
            self.steps + 1,
            MEAN_DECAY * self.mean + (1 - MEAN_DECAY) * gradient,
            SQUARE_DECAY * self.square + (1 - SQUARE_DECAY) * gradient**2,
        )

    def direction(self) -> Array:
        """The debiased mean in units of the debiased root mean square."""
        size = np.sqrt(self.square / (1 - SQUARE_DECAY**self.steps)) + EPSILON
        found: Array = self.mean / (1 - MEAN_DECAY**self.steps) / size
        return found


class Adam:
    """Kingma & Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1; a parameter counts its own steps.

    `parameters` are those by name, and may become more. A step puts a new array in an old one's place, never into it,
    so whoever keeps something that was computed from an array knows by the array whether it still holds.
    """

    def __init__(self, parameters: dict[str, Array], lr: float) -> None:
        self._parameters, self._lr = parameters, lr
        self._moments: dict[str, Moments] = {}

    def descend(self, gradient: Mapping[str, Array]) -> None:
        """One step against a gradient. Parameters that it does not name are left alone, and so are their moments."""
        for name, slope in gradient.items():
            before = self._moments.get(name) or Moments(0, np.zeros_like(slope), np.zeros_like(slope))
            self._moments[name] = after = before.updated(slope)
            self._parameters[name] = self._parameters[name] - self._lr * after.direction()
