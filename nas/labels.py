"""Class labels, compared as texts between files that may spell the same number differently."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

UNKNOWN = "?"
"""Label of an example of unknown class, in a file of labelled examples."""
NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,30})?|-?\d\.\d{1,30}e[+-]\d\d", re.ASCII)
"""A number as programs write it: 7, 7.0, or 7.0000000e+00 (C's %e); not 007, 1E2, nan or infinity."""


def one_spelling(*files: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Labels with one spelling of each number in all files: '1' for '1.0' and '1.00e+00'.

    Archives of time series write a class as 1 in one file and as 1.0000000e+00 in another. A label is nonetheless a
    text: where any label is not a plain decimal number, or one file has two spellings of one number, all labels are
    returned as they are.

    Args:
        files: Labels of each file, in the order of its examples. UNKNOWN is left alone.

    Returns:
        The labels of each file, as many as were given.
    """
    spellings = [set(labels) - {UNKNOWN} for labels in files]
    if not all(NUMBER.fullmatch(label) for labels in spellings for label in labels):
        return tuple(map(tuple, files))
    shortest = {label: _shortest(label) for labels in spellings for label in labels}
    if any(len({shortest[label] for label in labels}) < len(labels) for labels in spellings):
        return tuple(map(tuple, files))
    return tuple(tuple(shortest.get(label, label) for label in labels) for labels in files)


def _shortest(label: str) -> str:
    number = Decimal(label)
    return f"{number.normalize() if number else Decimal(0):f}"
