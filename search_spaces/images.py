"""What spaces of image networks ask of a task."""

from __future__ import annotations

from nas.errors import SpaceError
from nas.task import TaskShape


def check_images(space: str, task: TaskShape, halvings: int) -> None:
    """Raises SpaceError where the task's inputs are not images, or a side would be halved when it is one pixel."""
    if len(task.input_shape) != 3:
        raise SpaceError(f"{space} needs images (channels, height, width); this task's inputs are {task.input_shape}")
    smallest = 2 ** (halvings - 1) + 1 if halvings else 1  # halves are rounded up
    if min(task.input_shape[1:]) < smallest:
        raise SpaceError(
            f"{space} halves images {halvings} times, and those of {task.input_shape[1:]} pixels are too small; "
            f"need at least {smallest} pixels a side, or a space with fewer halvings"
        )
