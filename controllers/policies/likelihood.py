"""Likelihood and entropy of trajectories of choices, with their gradient, for softmax policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Gradient = dict[str, Array]
"""Gradient of a loss by parameter name; each array has its parameter's shape."""


@dataclass(frozen=True)
class Step:
    """One choice that was made: option `index`, in [0, `options`), of the choice `name`."""

    name: str
    options: int
    index: int


Trajectory = Sequence[Step]


@dataclass(frozen=True)
class Likelihood:
    """Log-probabilities and entropies of trajectories under a policy, and the backward pass.

    The entropy of the policy is the expectation of `entropies` over trajectories drawn from it. Its gradient has two
    parts: that of the steps' entropies, and the score function of how likely later steps are reached, which is each
    step's gradient of log-probability times the entropies of the later steps of its trajectory. As a control variate,
    the mean of these over the other weighted trajectories with the same choice is subtracted. Trajectories are drawn
    independently, so the expectation is unchanged, and nothing is left where later entropies do not depend on the
    choice.

    Attributes:
        log_probs: Log-probability of each trajectory, (trajectories,).
        entropies: Sum of the entropies of each trajectory's steps, in nats, (trajectories,).
        gradient: From `grad_log_probs` (trajectories,), the loss's derivatives by `log_probs`, and `entropy_weights`
            (trajectories,), each trajectory's weight of the policy's entropy in the loss, to the gradient of every
            parameter that the trajectories use.
    """

    log_probs: Array
    entropies: Array
    gradient: Callable[[Array, Array], Gradient]


@dataclass(frozen=True)
class GroupedSteps:
    """All steps of several trajectories, flattened and grouped by choice.

    Attributes:
        num_trajectories: Number of trajectories.
        choices: (name, number of options) of each distinct choice, in the order of first occurrence.
        counts: Number of steps of each choice.
        trajectory: Index of each step's trajectory, (steps,).
        position: Position of each step in its trajectory, from 0, (steps,).
        picked: Index of the option that each step took, (steps,).
    """

    num_trajectories: int
    choices: list[tuple[str, int]]
    counts: list[int]
    trajectory: Indices
    position: Indices
    picked: Indices

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory]) -> GroupedSteps:
        """Groups the steps of trajectories, each at least one step long."""
        groups: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
        for number, steps in enumerate(trajectories):
            for position, step in enumerate(steps):
                groups.setdefault((step.name, step.options), []).append((number, position, step.index))
        rows = np.array([row for group in groups.values() for row in group], dtype=np.intp)
        return cls(len(trajectories), list(groups), [len(group) for group in groups.values()], *rows.T)

    @property
    def sizes(self) -> Indices:
        """Number of options of each step, (steps,); the logits of all steps stand in one row of their sum."""
        sizes: Indices = np.repeat([options for _, options in self.choices], self.counts)
        return sizes

    @property
    def _offsets(self) -> Indices:
        """Number of options of all earlier choices, for each step, (steps,)."""
        options = [options for _, options in self.choices]
        offsets: Indices = np.repeat(np.cumsum([0, *options[:-1]]), self.counts)
        return offsets

    def previous_options(self) -> Indices:
        """The option taken before each position, (longest trajectory, trajectories).

        Options are numbered from 1 through all choices, in order; 0 stands for the start. Positions behind the end of
        a trajectory hold arbitrary numbers.
        """
        rows = np.zeros((self.position.max() + 2, self.num_trajectories), dtype=np.intp)
        rows[self.position + 1, self.trajectory] = 1 + self._offsets + self.picked
        return rows[:-1]

    def options_of_logits(self) -> Indices:
        """The option that each logit is of, numbered from 0 through all choices, (logits,)."""
        sizes = self.sizes
        starts = np.cumsum(sizes) - sizes
        numbers: Indices = np.arange(sizes.sum()) + np.repeat(self._offsets - starts, sizes)
        return numbers

    def likelihood(self, logits: Array, backward: Callable[[Array], Gradient]) -> Likelihood:
        """The likelihood of the trajectories under a softmax at each step.

        Args:
            logits: Logits of all steps, one step's after another's, (logits,).
            backward: From the loss's derivatives by the logits, (logits,), to the gradient by parameter.
        """
        sizes = self.sizes
        starts = np.cumsum(sizes) - sizes
        shifted = logits - np.repeat(np.maximum.reduceat(logits, starts), sizes)
        log_p = shifted - np.repeat(np.log(np.add.reduceat(np.exp(shifted), starts)), sizes)
        p = np.exp(log_p)
        entropies = -np.add.reduceat(p * log_p, starts)
        picked = starts + self.picked

        def gradient(grad_log_probs: Array, entropy_weights: Array) -> Gradient:
            weights = entropy_weights[self.trajectory]
            grad_picked = grad_log_probs[self.trajectory] + weights * self._entropies_ahead(entropies, weights != 0)
            # d log p[picked] / d logits = onehot(picked) - p;  dH / d logits = -p (log p + H).
            grad = -p * (np.repeat(grad_picked + weights * entropies, sizes) + log_p * np.repeat(weights, sizes))
            grad[picked] += grad_picked
            return backward(grad)

        return Likelihood(self._sums(log_p[picked]), self._sums(entropies), gradient)

    def _entropies_ahead(self, entropies: Array, weighted: npt.NDArray[np.bool_]) -> Array:
        """Sum of the entropies of the later steps of each step's trajectory, less the mean of this sum over the other
        weighted steps of the same choice, if there are any; all (steps,)."""
        by_position = np.zeros((self.position.max() + 1, self.num_trajectories))
        by_position[self.position, self.trajectory] = entropies
        ahead = (by_position[::-1].cumsum(0)[::-1] - by_position)[self.position, self.trajectory]
        choice = np.repeat(np.arange(len(self.counts)), self.counts)
        others = np.bincount(choice, weighted)[choice] - weighted
        sums = np.bincount(choice, ahead * weighted)[choice] - ahead * weighted
        centred: Array = ahead - sums / np.maximum(others, 1)
        return centred

    def _sums(self, values: Array) -> Array:
        """Sum of each trajectory's step values, (trajectories,)."""
        sums: Array = np.bincount(self.trajectory, values, self.num_trajectories).astype(np.float64, copy=False)
        return sums
