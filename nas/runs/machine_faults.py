"""Errors of the machine, such as a full disk, which stop a run and are no candidate's failure."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..failures import reason

log = logging.getLogger(__name__)


@dataclass
class MachineFaults:
    """Whether the machine has failed while a process carried out a run.

    Attributes:
        happened: Whether it has.
    """

    happened: bool = False

    def note(self, error: BaseException) -> None:
        """Says, once, that the run stops because of an error of the machine, and what to do."""
        if not self.happened:
            log.warning(
                "the run stops: %s. That is a fault of the machine and not of a candidate, so nothing is stored of the "
                "evaluation; check the disk's free space and limits, then continue with `nas resume`",
                reason(error),
            )
        self.happened = True
