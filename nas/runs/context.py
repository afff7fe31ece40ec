"""Context of one run: what its search, its final measurements and its report work with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..config.parts import Parts
from ..config.schema import Config
from ..protocols.executors import CandidateExecutor
from ..store.sqlite_store import Store
from .folder import RunFolder
from .machine_faults import MachineFaults
from .progress import Progress


def never() -> bool:
    """No request to stop."""
    return False


@dataclass(frozen=True)
class RunContext:
    """One run, or its random-search control, while a process carries it out.

    Attributes:
        run: Its name and folder.
        store: Its store, open for writing.
        config: Its config.
        parts: The components that the config names.
        executor: Place where candidates are evaluated.
        progress: Receiver of its events.
        stop: Whether the run was asked to stop.
        faults: Errors of the machine, which stop the run.
        began: When this process took up the run, by `time.monotonic`.
    """

    run: RunFolder
    store: Store
    config: Config
    parts: Parts
    executor: CandidateExecutor
    progress: Progress
    stop: Callable[[], bool] = never
    faults: MachineFaults = field(default_factory=MachineFaults)
    began: float = field(default_factory=time.monotonic)
