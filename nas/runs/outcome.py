"""Outcome of a run that a process has carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..analysis.final_result import FinalResult
from .folder import RunFolder


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: The run, under the name that it was given.
        state: 'done', or 'interrupted' where it was asked to stop.
        final: Its final result; None where it was interrupted before there was one.
    """

    run: RunFolder
    state: Literal["done", "interrupted"]
    final: FinalResult | None
