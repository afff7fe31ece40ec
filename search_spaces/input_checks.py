"""Checks that a task's inputs fit the networks of a space."""

from __future__ import annotations

from nas.errors import SpaceError
from nas.task import TaskShape


def check_images(space: str, task: TaskShape, *, halvings: int = 0) -> None:
    """Check that the inputs are images that can be halved so often, with odd sides rounded up.

    Args:
        space: Name of the space, for the message.
        task: Shapes of the task's inputs and outputs.
        halvings: Number of times that the network halves height and width.

    Raises:
        SpaceError: The inputs are not images, or a side would be halved when it is one pixel.
    """
    if len(task.input_shape) != 3:
        raise SpaceError(
            f"{space} needs images (channels, height, width); this task's inputs are {task.input_shape}: take tasks of "
            "images, or another space"
        )
    smallest = 2 ** (halvings - 1) + 1 if halvings else 1
    if min(task.input_shape[1:]) < smallest:
        raise SpaceError(
            f"{space} halves images {halvings} times, and those of {task.input_shape[1:]} pixels are too small; "
            f"need at least {smallest} pixels a side, or a space with fewer halvings"
        )


def check_series(space: str, task: TaskShape) -> None:
    """Check that the inputs are series.

    Args:
        space: Name of the space, for the message.
        task: Shapes of the task's inputs and outputs.

    Raises:
        SpaceError: The inputs are not series.
    """
    if len(task.input_shape) != 2:
        raise SpaceError(
            f"{space} needs series (channels, length); this task's inputs are {task.input_shape}: take tasks of "
            "series, or another space"
        )
