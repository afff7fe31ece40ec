"""The engines of this machine by name, and the request that an engine makes its slots from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .inline_executor import InlineExecutor
from .process_executor import ProcessExecutor
from .slots import slots


@dataclass(frozen=True)
class SlotRequest:
    """Slots that a run asks its engine for.

    Attributes:
        workers: Number of slots, at least 1; 'auto' for as many as the engine finds sensible.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N', where candidates are trained.
        deadline_s: Longest time of one call in seconds; None for no limit.
    """

    workers: int | Literal["auto"] = "auto"
    device: str = "auto"
    deadline_s: float | None = None


def processes(slot_request: SlotRequest) -> ProcessExecutor:
    """Worker processes of this machine.

    Raises:
        ConfigError: The device is 'cuda', and there is no GPU.
    """
    environments = slots(slot_request.workers, slot_request.device)
    return ProcessExecutor(len(environments), environments=environments, deadline_s=slot_request.deadline_s)


def inline(slot_request: SlotRequest) -> InlineExecutor:
    """This process, one candidate after the other: no deadline, and a candidate that crashes it ends the run."""
    return InlineExecutor()
