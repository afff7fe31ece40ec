"""Text of a trial with its score, size and choices, as charts show it under the pointer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..trial import Trial
from .formatting import number, sizes

MOST_OPTIONS, LONGEST = 16, 40
"""Choices that are listed, and characters of an option."""


def trial_text(trial: Trial, options: Mapping[str, Any], *, percent: bool) -> str:
    """'#12 · 87.1 % · 883 parameters', then the choices of its cell, a line each.

    Args:
        trial: The trial.
        options: The options that its architecture took, by choice.
        percent: Whether its score is an accuracy, shown as a percentage.
    """
    if trial.score is None:
        return f"#{trial.number} · {trial.state}{f': {trial.error}' if trial.error else ''}"
    parameters, _ = sizes(trial.score.metrics)
    size = f" · {parameters} parameters" if parameters else ""
    shown = f"{number(trial.value, percent)} ± {number(trial.stderr, percent, bare=True)}"
    lines = [f"{choice}: {str(option)[:LONGEST]}" for choice, option in list(options.items())[:MOST_OPTIONS]]
    if len(options) > MOST_OPTIONS:
        lines.append(f"and {len(options) - MOST_OPTIONS} more choices")
    return "\n".join([f"#{trial.number} · {shown}{size}", *lines])
