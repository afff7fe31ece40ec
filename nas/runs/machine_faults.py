"""Errors of the machine, such as a full disk, which stop a run and are no candidate's failure."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..failures import reason
from ..search.options import FaultVerdict

log = logging.getLogger(__name__)
MOST_FAULTS = 3
"""Errors of the machine after which an evaluation failed, where the machine has none that can be seen."""
TRIED_BYTES = 256 * 2**20
"""Size of the file that a disk must have room for to count as sound."""
WAIT_S = 600.0
"""Seconds for which a run waits for room on a full disk before it stops."""


@dataclass
class MachineFaults:
    """Errors of the machine while a process carried out a run.

    Attributes:
        happened: Whether the run stops because of one.
    """

    happened: bool = False
    _counts: Counter[str] = field(default_factory=Counter)

    def note(self, error: BaseException) -> None:
        """Says, once, that the run stops because of an error of the machine, and what to do."""
        if not self.happened:
            log.warning(
                "the run stops: %s. That is a fault of the machine and not of a candidate, so nothing is stored of the "
                "evaluation; check the disk's free space and limits, then continue with `nas resume`",
                reason(error),
            )
        self.happened = True

    def verdict(self, folder: Path, evaluation: str, error: BaseException) -> FaultVerdict:
        """What follows an error of the machine that ended an evaluation.

        A candidate's code may raise such an error itself, each time that it is run. So the disk is tried, and where it
        is sound, the evaluation is repeated, and has failed after `MOST_FAULTS` such errors.

        Args:
            folder: Folder of the run.
            evaluation: Name of the evaluation.
            error: The error.
        """
        if not all(_is_sound(each) for each in (folder, Path(tempfile.gettempdir()))):
            self.note(error)
            return "stop"
        self._counts[evaluation] += 1
        return "again" if self._counts[evaluation] < MOST_FAULTS else "failed"


def _is_sound(folder: Path) -> bool:
    """Whether a file of `TRIED_BYTES` can be written to a folder. It is removed again."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, TRIED_BYTES)
            os.pwrite(file.fileno(), b"x", 0)
            os.fsync(file.fileno())
    except OSError:
        return False
    return True
