"""Parts of an export that a person may choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..errors import ConfigError, nearest

SOURCE, ONNX, PICTURE, CARD = "source", "onnx", "picture", "card"
PARTS: Final = (SOURCE, ONNX, PICTURE, CARD)
"""model.py or model.pt2, adapt.py and the files of the space; model.onnx; the drawings of the cell; card.md."""
ALL: Final = "all"


def chosen(texts: Sequence[str]) -> tuple[str, ...]:
    """The parts that values of `--format` name, each one name or several with commas between; all for none.

    What `nas adapt` reads (description, weights, network, rule of adaptation) is in every export.

    Raises:
        ConfigError: A name is unknown.
    """
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        if name not in (ALL, *PARTS):
            raise ConfigError(f"--format {name!r}: {nearest(name, (ALL, *PARTS))}")
    if texts and not names:
        raise ConfigError(f"--format names nothing; give one or more of {', '.join((ALL, *PARTS))}")
    return PARTS if not names or ALL in names else tuple(part for part in PARTS if part in names)
