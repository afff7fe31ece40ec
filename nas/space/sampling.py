"""Sampling, replay, mutation and crossover of architectures.

A search space is a function that makes choices (`decide`). Each function here calls it with another `choose`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..architecture import Architecture
from ..choose import Choose, Pick, T
from ..errors import Rejected, SpaceError
from ..options import as_sequence, plain
from ..protocols.spaces import SearchSpace

Step = Callable[[Sequence[Any], int, random.Random], int]
"""The mutation of one choice: from its options, at least two, and the index taken, the index of another option."""
MAX_TRIES = 1_000
"""Draws in a row that a space may reject before an operation gives up."""


def decide(space: SearchSpace, pick: Pick) -> tuple[Any, Architecture]:
    """The spec that `space.decide` returns when `pick` makes its choices, and the architecture that records them."""
    choose = Choose(pick)
    spec = space.decide(choose)
    return spec, Architecture(space.name, choose.picks)


def sample(space: SearchSpace, rng: random.Random) -> Architecture:
    """A random architecture, each choice uniform over its options; a rejected one is drawn again.

    Raises:
        SpaceError: The space rejects MAX_TRIES draws in a row.
    """
    return _first_allowed(space, lambda: decide(space, at_random(rng))[1])


def replay(space: SearchSpace, architecture: Architecture) -> Any:
    """The spec of a recorded architecture.

    Raises:
        SpaceError: The record is of another space, lacks a choice, holds one that is never made, or an index out of
            range; the message names the choice.
        Rejected: The space does not allow the architecture.
    """
    return _replayed(space, architecture)[0]


def num_options(space: SearchSpace, architecture: Architecture) -> dict[str, int]:
    """Number of options of each choice of an architecture, in the order of the choices. Raises as `replay`."""
    return {name: len(options) for name, options in _replayed(space, architecture)[1].items()}


def options_taken(space: SearchSpace, architecture: Architecture) -> dict[str, Any]:
    """Option taken in each choice of an architecture, in the order of the choices. Raises as `replay`."""
    picks = architecture.picks
    return {name: plain(options[picks[name]]) for name, options in _replayed(space, architecture)[1].items()}


def any_other(options: Sequence[Any], index: int, rng: random.Random) -> int:
    """The index of another option, uniformly at random."""
    return (index + 1 + int(rng.random() * (len(options) - 1))) % len(options)


def mutate(
    space: SearchSpace, architecture: Architecture, rng: random.Random, *, step: Step = any_other
) -> Architecture:
    """An architecture with exactly one choice changed, and new random choices where the change opens some.

    Args:
        space: The search space.
        architecture: The architecture to change.
        rng: Source of randomness.
        step: Picks the new index of the changed choice.

    Raises:
        Rejected: No choice has a second option, or the space rejects MAX_TRIES mutations.
    """
    movable = [(name, options) for name, options in _replayed(space, architecture)[1].items() if len(options) > 1]
    if not movable:
        raise Rejected(f"no choice of this architecture of {space.name!r} has a second option")
    for _ in range(MAX_TRIES):
        name, options = movable[int(rng.random() * len(movable))]
        kept = {**architecture.picks, name: step(options, architecture.picks[name], rng)}
        try:
            return decide(space, kept_or(kept, at_random(rng)))[1]
        except Rejected:
            continue
    raise Rejected(f"none of {MAX_TRIES} mutations of an architecture of {space.name!r} is allowed")


def crossover(space: SearchSpace, first: Architecture, second: Architecture, rng: random.Random) -> Architecture:
    """A child that takes each choice from one of two parents at random, and draws those that neither parent made.

    Raises:
        Rejected: The space rejects MAX_TRIES children.
    """
    draw = at_random(rng)

    def pick(name: str, options: int) -> int:
        parents = (first, second) if rng.random() < 0.5 else (second, first)
        for parent in parents:
            index = parent.picks.get(name)
            if index is not None and index < options:
                return index
        return draw(name, options)

    for _ in range(MAX_TRIES):
        try:
            return decide(space, pick)[1]
        except Rejected:
            continue
    raise Rejected(f"none of {MAX_TRIES} children of two architectures of {space.name!r} is allowed")


class _Recorder(Choose):
    """A `Choose` that also records the options of each choice."""

    def __init__(self, pick: Pick) -> None:
        super().__init__(pick)
        self.options: dict[str, Sequence[Any]] = {}

    def __call__(self, name: str, options: Sequence[T]) -> T:
        option = super().__call__(name, options)
        self.options[name] = as_sequence(name, options)
        return option


def _replayed(space: SearchSpace, architecture: Architecture) -> tuple[Any, dict[str, Sequence[Any]]]:
    """The spec, and the options of each choice in the order of the choices."""
    if architecture.space != space.name:
        raise SpaceError(f"the architecture is of space {architecture.space!r}, not of {space.name!r}")

    def pick(name: str, options: int) -> int:
        index = architecture.picks.get(name)
        if index is None:
            raise SpaceError(f"choice {name!r} is missing from the architecture")
        if not 0 <= index < options:
            raise SpaceError(f"choice {name!r} has index {index}; it must be from 0 to {options - 1}")
        return index

    choose = _Recorder(pick)
    spec = space.decide(choose)
    unused = sorted(set(architecture.picks) - set(choose.picks))
    if unused:
        raise SpaceError(f"choice {unused[0]!r} is in the architecture but the space never makes it")
    return spec, choose.options


def at_random(rng: random.Random) -> Pick:
    """A pick that takes each option with the same probability."""
    return lambda _name, options: int(rng.random() * options)


def kept_or(kept: Mapping[str, int], otherwise: Pick) -> Pick:
    """A pick that takes recorded indices where they are valid, and asks `otherwise` for the rest."""

    def pick(name: str, options: int) -> int:
        index = kept.get(name)
        return index if index is not None and index < options else otherwise(name, options)

    return pick


def _first_allowed(space: SearchSpace, draw: Callable[[], Architecture]) -> Architecture:
    reason = ""
    for _ in range(MAX_TRIES):
        try:
            return draw()
        except Rejected as error:
            reason = str(error)
    raise SpaceError(
        f"no allowed architecture found in {MAX_TRIES} draws: space {space.name!r} rejected {MAX_TRIES} in a row; "
        f"the last reason: {reason}"
    )
