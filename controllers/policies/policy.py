"""Interface of policies over the architectures of a search space, and what policies share."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.protocols import SearchSpace
from nas.space import num_options, sample

from .likelihood import Array, Gradient, Likelihood, Step, Trajectory

MAX_REJECTED = 100
"""Rejected samples of a policy in a row after which a uniform sample is taken instead."""


class Policy(Protocol):
    """A distribution over architectures with trainable parameters.

    Parameters of a choice, which is known by its name and number of options, are made when it first occurs, from a
    generator derived from (seed, name of the parameter). So neither the order of occurrence matters nor does a
    conditional or unbounded space have to list its choices.
    """

    def sample(self, space: SearchSpace, rng: random.Random) -> Architecture:
        """Draws an architecture.

        Raises:
            SpaceError: The space rejects everything that is drawn.
        """
        ...

    def likelihood(self, trajectories: Sequence[Trajectory]) -> Likelihood:
        """Likelihood of trajectories, each at least one step long, without regard to rejection."""
        ...

    def step(self, gradient: Gradient) -> None:
        """One step of the optimizer against a gradient, as `Likelihood.gradient` gives it; other parameters stay."""
        ...


def trajectory_of(space: SearchSpace, architecture: Architecture) -> list[Step]:
    """The choices of an architecture in order.

    Raises:
        SpaceError: The architecture is of another space.
    """
    return [Step(name, size, architecture.picks[name]) for name, size in num_options(space, architecture).items()]


def first_allowed(space: SearchSpace, draw: Callable[[], Architecture], rng: random.Random) -> Architecture:
    """The first draw that the space allows, or a uniform sample after `MAX_REJECTED` rejections.

    Rejected trajectories have no score from which the policy could learn to avoid them, and a policy that has come to
    prefer them must not end the search.

    Raises:
        SpaceError: The space rejects the uniform samples too.
    """
    for _ in range(MAX_REJECTED):
        try:
            return draw()
        except Rejected:
            continue
    return sample(space, rng)


def cumulative_weights(logits: Array) -> list[float]:
    """Cumulative unnormalised softmax probabilities of logits (options,), as `random.choices` takes them."""
    weights: list[float] = np.exp(logits - logits.max()).cumsum().tolist()
    return weights


def derived_seed(seed: int, name: str) -> int:
    """A seed of 64 bits for the parameter `name` of a policy with this seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big")
