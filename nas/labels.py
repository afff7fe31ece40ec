"""Labels of classes, compared as text between files that may spell the same number differently."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

UNKNOWN = "?"
"""In a file of labelled examples, the label of an example whose class is not known."""
PLAIN = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,30})?|-?\d\.\d{1,30}e[+-]\d\d", re.ASCII)
"""A number as programs write it: 7, 7.0, or 7.0000000e+00 (C's %e); not 007, 1E2, nan or infinity."""


def one_spelling(*files: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The labels of some files, with the same text for the same number in all of them: '1' for '1.0' and '1.00e+00'.

    The archives of time series write a class as 1 in one file and as 1.0000000e+00 in another. A label is nonetheless
    a text: where any of them is not a plain decimal number, or one file has two spellings of one number, all labels are
    returned as they are.

    Args:
        files: The labels of each file, in the order of its examples. UNKNOWN stands for no class and is left alone.

    Returns:
        As many labels for each file.
    """
    spellings = [set(labels) - {UNKNOWN} for labels in files]
    if not all(PLAIN.fullmatch(label) for found in spellings for label in found):
        return tuple(map(tuple, files))
    folded = {label: _shortest(label) for found in spellings for label in found}
    if any(len({folded[label] for label in found}) < len(found) for found in spellings):
        return tuple(map(tuple, files))
    return tuple(tuple(folded.get(label, label) for label in labels) for labels in files)


def _shortest(label: str) -> str:
    number = Decimal(label)
    return f"{number.normalize() if number else Decimal(0):f}"
