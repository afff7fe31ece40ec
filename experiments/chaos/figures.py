"""Figures of the fault experiments, and the settings that all of them share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """How much a part of the experiments tries.

    Attributes:
        full: Whether the counts are those for hours by hand; else those for minutes in CI.
        seed: Seed of everything that is drawn.
        folder: Empty folder for what the part writes.
    """

    full: bool
    seed: int
    folder: Path


@dataclass(frozen=True)
class Figure:
    """One figure of the results.

    Attributes:
        name: What was tried or measured.
        target: What is to be reached, in words.
        measured: What was measured, in words.
        met: Whether the target is reached.
        faults: What went wrong, one line a case, at most 20 of them.
    """

    name: str
    target: str
    measured: str
    met: bool
    faults: tuple[str, ...] = field(default=())
