"""System identification: each task is one random stable system, to be learned from a few of its steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Literal

import torch
from torch import Tensor

from nas.bounds import LARGEST_SEED, check_number
from nas.errors import ConfigError
from nas.task import Split, TaskBatch, TaskShape

from .class_family import MOST_EXAMPLES
from .counter_hash import fold, task_keys, uniform

RADII: Final = (0.3, 0.9)
"""Range of the poles' distances from 0: below 1, so that every system is stable."""
GAINS: Final = (0.5, 2.0)
_SETTLED: Final = 100  # Steps after which an impulse has died away: 0.9 ** 100 is 3e-5.


@dataclass(frozen=True, kw_only=True)
class SystemIdentification:
    """v(t) = Σ a_i v(t−i) + Σ b_i u(t−i), i from 1 to `order`; y(t) = tanh(g v(t)) / g + noise: a Wiener model.

    The linear part is the output-error model of Ljung, "System Identification" (1999), section 4.2. Its poles have
    uniform radius in RADII: conjugate pairs of uniform angle, and a real pole of either sign where the order is odd.
    The b_i are uniform, scaled so that v has unit variance for the input u, which is white noise, uniform in [−√3, √3).
    The gain g is uniform in GAINS. An example is the window of u and y before a step, and its target is y at that step.
    Support and query windows are the consecutive windows of two experiments on the system, each of which starts at
    rest.

    Attributes:
        shots: Windows in the support set, at least 1.
        queries: Windows in the query set, at least 1.
        seed: Seed of the tasks; each split is a stream of its own.
        length: Steps in a window, from 1 to 10,000. A window of `order` steps or more determines the next output up to
            the noise.
        order: Order of the linear part, from 1 to 100.
        nonlinearity: 'tanh', or 'none': y(t) = v(t) + noise.
        noise: Standard deviation of the normal noise in every y, from 0 to 1000. No mean squared error below its square
            can be reached.
    """

    name: ClassVar[str] = "system-identification"
    shots: int = 20
    queries: int = 25
    seed: int = 0
    length: int = 16
    order: int = 2
    nonlinearity: Literal["tanh", "none"] = "tanh"
    noise: float = 0.05

    def __post_init__(self) -> None:
        check_number(self.name, "shots", self.shots, 1, MOST_EXAMPLES)
        check_number(self.name, "queries", self.queries, 1, MOST_EXAMPLES)
        check_number(self.name, "seed", self.seed, 0, LARGEST_SEED)
        check_number(self.name, "length", self.length, 1, 10_000)
        check_number(self.name, "order", self.order, 1, 100)
        check_number(self.name, "noise", self.noise, 0.0, 1000.0)
        if self.nonlinearity not in {"tanh", "none"}:
            raise ConfigError(f"{self.name}: nonlinearity is {self.nonlinearity!r}; it must be 'tanh' or 'none'")

    @property
    def shape(self) -> TaskShape:
        return TaskShape((2, self.length), 1, "regression")

    def check(self) -> None:
        """Accepts: there is no data to load."""

    def describe(self) -> dict[str, Any]:
        """Identity of the tasks: the options and the ranges."""
        return {"name": self.name, **asdict(self), "radii": list(RADII), "gains": list(GAINS)}

    def tasks(self, split: Split, indices: Sequence[int], device: torch.device) -> TaskBatch:
        """Tasks by number, the same on every device up to the last bits.

        Args:
            split: Split of the tasks.
            indices: Numbers of the tasks, any whole numbers from 0.
            device: Device of the tensors.

        Returns:
            The tasks, with x (tasks, windows, 2, length), which is u and then y in the order of time, and y (tasks,
            windows, 1).

        Raises:
            ConfigError: The split is unknown.
        """
        keys = task_keys(seed=self.seed, split=split, indices=indices, device=device)
        steps = self.length + max(self.shots, self.queries)
        u = math.sqrt(3) * (2 * uniform(fold(fold(keys[:, None], 3), torch.arange(2, device=device)), steps) - 1)
        v = simulate(*systems(keys, self.order), u)
        if self.nonlinearity == "tanh":
            gain = _within(uniform(fold(keys, 4), 1), GAINS)[..., None]
            v = torch.tanh(gain * v) / gain
        y = v + self.noise * _normal(fold(fold(keys[:, None], 5), torch.arange(2, device=device)), steps)
        support, query = (_windows(u[:, i], y[:, i], self.length) for i in range(2))
        return TaskBatch(*(part[:, : self.shots] for part in support), *(part[:, : self.queries] for part in query))


def systems(keys: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Coefficients a and b of the linear system of each key, both (tasks, order) float64."""
    pairs = order // 2
    radius = _within(uniform(fold(keys, 0), pairs + 1), RADII)
    fraction = uniform(fold(keys, 1), pairs + 1)
    # The factors (z − p)(z − p*) of each pair and z − p of a real pole, by falling powers of z without the leading 1.
    quadratic = torch.stack([-2 * radius * torch.cos(math.pi * fraction), radius * radius], dim=-1)
    polynomial = torch.ones_like(radius[:, :1])
    for pair in range(pairs):
        polynomial = _times(polynomial, quadratic[:, pair])
    if order % 2:
        polynomial = _times(polynomial, torch.where(fraction < 0.5, radius, -radius)[:, -1:])
    a, b = -polynomial[:, 1:], 2 * uniform(fold(keys, 2), order) - 1
    impulse = torch.zeros(len(keys), 1, _SETTLED, dtype=torch.float64, device=keys.device)
    impulse[..., 0] = 1
    return a, b / simulate(a, b, impulse).square().sum(dim=-1).sqrt()


def simulate(a: Tensor, b: Tensor, u: Tensor) -> Tensor:
    """Outputs v of linear systems that start at rest.

    Args:
        a: Coefficients of earlier outputs, (tasks, order).
        b: Coefficients of earlier inputs, (tasks, order).
        u: Inputs (tasks, experiments, steps).

    Returns:
        Outputs (tasks, experiments, steps).
    """
    v: list[Tensor] = []
    for t in range(u.shape[-1]):
        now = torch.zeros_like(u[..., 0])
        for i in range(min(t, a.shape[1])):
            now = now + a[:, i, None] * v[t - 1 - i] + b[:, i, None] * u[..., t - 1 - i]
        v.append(now)
    return torch.stack(v, dim=-1)


def _windows(u: Tensor, y: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Windows (tasks, steps − length, 2, length) of u and y, both (tasks, steps), and the outputs that follow them."""
    x = torch.stack([u, y], dim=1)[..., :-1].unfold(-1, length, 1).transpose(1, 2)
    return x.float().contiguous(), y[:, length:, None].float()


def _times(polynomial: Tensor, factor: Tensor) -> Tensor:
    """Product of polynomials by falling powers: (tasks, n + 1), and (tasks, k) without its leading 1."""
    product = torch.nn.functional.pad(polynomial, (0, factor.shape[1]))
    for k in range(factor.shape[1]):
        product[:, k + 1 : k + 1 + polynomial.shape[1]] += factor[:, k, None] * polynomial
    return product


def _normal(keys: Tensor, count: int) -> Tensor:
    """Standard normal numbers, (*keys.shape, count), from the inverse of their distribution function."""
    normal: Tensor = torch.special.ndtri(uniform(keys, count) + 2.0**-54)
    return normal


def _within(fraction: Tensor, limits: tuple[float, float]) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * fraction
