"""Table policy: an independent softmax for each choice."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from nas.architecture import Architecture
from nas.protocols import SearchSpace
from nas.space import decide

from .adam import Adam
from .likelihood import Array, Gradient, GroupedSteps, Likelihood, Trajectory
from .policy import cumulative_weights, derived_seed, first_allowed


class TablePolicy:
    """A softmax over the options of every choice, independent of the choices made before it.

    Args:
        seed: Seed of the initial logits.
        lr: Learning rate of Adam, above 0.
        spread: Standard deviation of the initial logits, from 0; at 0 the policy starts uniform.
    """

    def __init__(self, *, seed: int, lr: float, spread: float = 0.0) -> None:
        self._seed, self._spread = seed, spread
        self.parameters: dict[str, Array] = {}
        self._adam = Adam(self.parameters, lr)
        self._weights: dict[str, tuple[Array, list[float]]] = {}

    def sample(self, space: SearchSpace, rng: random.Random) -> Architecture:
        """See `Policy.sample`."""

        def pick(name: str, options: int) -> int:
            return rng.choices(range(options), cum_weights=self._cumulative(name, options))[0]

        return first_allowed(space, lambda: decide(space, pick)[1], rng)

    def likelihood(self, trajectories: Sequence[Trajectory]) -> Likelihood:
        """See `Policy.likelihood`."""
        steps = GroupedSteps.of(trajectories)
        counts = list(zip(steps.choices, steps.counts, strict=True))
        logits = np.concatenate([np.tile(self._logits(*choice), count) for choice, count in counts])

        def backward(grad_logits: Array) -> Gradient:
            ends = np.cumsum([options * count for (_, options), count in counts])
            parts = zip(steps.choices, np.split(grad_logits, ends[:-1]), strict=True)
            return {f"{options} {name}": part.reshape(-1, options).sum(0) for (name, options), part in parts}

        return steps.likelihood(logits, backward)

    def step(self, gradient: Gradient) -> None:
        """See `Policy.step`."""
        self._adam.step(gradient)

    def _cumulative(self, name: str, options: int) -> list[float]:
        """`cumulative_weights`, cached until Adam replaces the logits: a pool samples them a hundred times."""
        key, logits = f"{options} {name}", self._logits(name, options)
        if key not in self._weights or self._weights[key][0] is not logits:
            self._weights[key] = logits, cumulative_weights(logits)
        return self._weights[key][1]

    def _logits(self, name: str, options: int) -> Array:
        key = f"{options} {name}"
        if key not in self.parameters:
            generator = np.random.Generator(np.random.PCG64(derived_seed(self._seed, key)))
            self.parameters[key] = self._spread * generator.standard_normal(options)
        return self.parameters[key]
