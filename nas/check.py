"""`nas check FILE.py:NAME`: the conformance suite run on a person's own search space."""

from __future__ import annotations

from . import registry
from .errors import SpaceError
from .executors.attempt import attempt, reason
from .protocols import SearchSpace, TaskShape
from .space import count
from .testing import check_space
from .testing_networks import check_networks

SAMPLES = 1000
BUILDS = 20


def check(target: str, task: TaskShape) -> str:
    """A verdict in a few lines. Raises SpaceError, with the law that is broken, for a space that is not sound."""
    space: SearchSpace = registry.create("space", target, {})
    _, error = attempt(check_space, space, task=task, samples=SAMPLES, builds=BUILDS)
    number = None
    if error is None:
        _, error = attempt(check_networks, space, task, samples=SAMPLES, builds=BUILDS)
    if error is None:
        number, error = attempt(count, space)
    if error is not None:
        text = str(error) if isinstance(error, AssertionError) else reason(error)
        raise SpaceError(f"space {space.name!r} is not sound: {text}")
    return (
        f"{space.name}: sound. {SAMPLES} architectures decided, replayed and mutated, {BUILDS} built and "
        f"differentiated on inputs {task.input_shape}; {number} architectures in all."
    )
