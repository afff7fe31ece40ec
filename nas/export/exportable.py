"""Check that the networks of a search space can be exported."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..architecture import Architecture
from ..failures import attempt
from ..protocols.evaluators import Measurer

EXPORT_S = 1.0
"""Seconds after which no further architecture is checked."""
REMEDY = (
    "write its forward with layers of torch.nn and functions of torch, the same in training and in evaluation, and "
    "without branches on a tensor's values"
)


def export_file(measurer: Measurer, architecture: Architecture) -> tuple[str | None, str]:
    """The form in which an architecture's network would be exported. Raises what `measurer.network` raises.

    Returns:
        The file that would hold the forward, 'model.py' or 'model.pt2', or None where neither can; and why it is not
        'model.py', or an empty text.
    """
    from .form import form_of  # torch.fx takes a second to import

    form = form_of(measurer.network(architecture, 0), measurer.tasks.shape.input_shape)
    return form.file, form.why


def first_not_source(measurer: Measurer, architectures: Sequence[Architecture]) -> tuple[str | None, str]:
    """The worst result of `export_file` for some architectures: no file, else a program, else source.

    Those that are not reached in EXPORT_S seconds, and those whose network cannot be built, are left out."""
    worst: tuple[str | None, str] = ("model.py", "")
    end = time.monotonic() + EXPORT_S
    for architecture in architectures:
        result = attempt(export_file, measurer, architecture)
        if result.error is None and result.value[1]:
            worst = result.value
            if worst[0] is None:
                break
        if time.monotonic() > end:
            break
    return worst
