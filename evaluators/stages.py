"""Trainings in stages: a training that stops at a rung continues later from a file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from nas.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)
STEP: Final = "outer_step"
"""Name of the number of steps taken in a training's state."""


class StagedTraining(Protocol):
    """Training that continues bit for bit from its state.

    Attributes:
        step: Number of steps taken: outer steps, or epochs.
        budget: Steps of the whole schedule.
    """

    @property
    def step(self) -> int: ...

    @property
    def budget(self) -> int: ...

    def advance(self, to: int) -> None:
        """Continues until `to` steps are taken. Raises NasError where the training diverges."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """The state by names, with the number of steps under `STEP`."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continues from a state. Raises DataError where it is one of another training; nothing is changed then."""
        ...


def advance_from(checkpoint: Path, training: StagedTraining, to: int, label: Mapping[str, str]) -> int:
    """Continues a training from the state in a file up to step `to`.

    The new state is written to the file, unless the file holds a later one or the schedule is at its end. A file that
    is missing, damaged or of another label is no error: the training then starts from its beginning. A file that cannot
    be written is no error either.

    Args:
        checkpoint: File of the state.
        training: A new training.
        to: Step to stop at, at most the training's budget.
        label: Identity of the training in the file's metadata.

    Returns:
        The number of steps taken.

    Raises:
        NasError: The training diverges.
    """
    from safetensors import SafetensorError

    from .networks.weights import read_tensors, write_tensors

    later = False
    with suppress(DataError):
        state = read_tensors(checkpoint, label)
        later = STEP in state and int(state[STEP]) > to
        if not later:
            training.restore(state)
    begun = training.step
    training.advance(to)
    if begun < to < training.budget and not later:
        try:
            write_tensors(training.state(), checkpoint, label)
        except (OSError, SafetensorError) as error:  # A full disk, for example, is no fault of the candidate.
            log.warning("the stage after step %d cannot be kept, and will be computed again: %s", to, error)
    return to - begun
