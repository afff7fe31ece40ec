"""Adam for named numpy parameters of which each loss uses only some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .likelihood import Array, Gradient

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Moments:
    """Moving averages of a parameter's gradient (`mean`, m) and of its square (`square`, v) after `steps` steps."""

    steps: int
    mean: Array
    square: Array

    def updated(self, grad: Array) -> Moments:
        """The moments after one more gradient."""
        mean = BETA_1 * self.mean + (1 - BETA_1) * grad
        return Moments(self.steps + 1, mean, BETA_2 * self.square + (1 - BETA_2) * grad**2)

    def direction(self) -> Array:
        """Bias-corrected mean over bias-corrected root mean square, m̂ / (√v̂ + ε)."""
        root = np.sqrt(self.square / (1 - BETA_2**self.steps)) + EPSILON
        direction: Array = self.mean / (1 - BETA_1**self.steps) / root
        return direction


class Adam:
    """Kingma & Ba, "Adam: A Method for Stochastic Optimization" (arXiv 1412.6980), algorithm 1; each parameter counts
    its own steps, as in `torch.optim.Adam`.

    A step stores a new array in place of the old one and never writes into it. A value computed from a parameter is
    therefore up to date as long as the parameter is the same object.

    Args:
        parameters: Parameters by name; more may be added later.
        lr: Learning rate, above 0.
    """

    def __init__(self, parameters: dict[str, Array], lr: float) -> None:
        self._parameters, self._lr = parameters, lr
        self._moments: dict[str, Moments] = {}

    def step(self, gradient: Gradient) -> None:
        """One descent step. Parameters that `gradient` lacks keep their values and moments."""
        for name, grad in gradient.items():
            before = self._moments.get(name) or Moments(0, np.zeros_like(grad), np.zeros_like(grad))
            self._moments[name] = after = before.updated(grad)
            self._parameters[name] = self._parameters[name] - self._lr * after.direction()
