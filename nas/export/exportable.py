"""Check of how the networks of a space can be exported."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..architecture import Architecture
from ..failures import attempt
from ..protocols import Measurer

EXPORT_S = 1.0
REMEDY = (
    "write its forward with layers of torch.nn and functions of torch, the same in training and in evaluation, and "
    "without branches on a tensor's values"
)


def export_file(measurer: Measurer, architecture: Architecture) -> tuple[str | None, str]:
    """The file that an export of an architecture's network would hold its forward in, `model.py` or `model.pt2`; None
    where it can be neither. Beside it why it is not `model.py`, or an empty text.

    Raises what `measurer.network` raises.
    """
    from .form import form_of  # torch.fx takes a second to import

    form = form_of(measurer.network(architecture, 0), measurer.tasks.shape.input_shape)
    return form.file, form.why


def first_not_source(measurer: Measurer, architectures: Sequence[Architecture]) -> tuple[str | None, str]:
    """Of `export_file`, the worst result of some architectures: no file, else a program, else source.

    Those after EXPORT_S seconds, and those whose network cannot be built, are left out."""
    worst: tuple[str | None, str] = ("model.py", "")
    end = time.monotonic() + EXPORT_S
    for architecture in architectures:
        found, error = attempt(export_file, measurer, architecture)
        if error is None and found[1]:
            worst = found
            if found[0] is None:
                break
        if time.monotonic() > end:
            break
    return worst
