"""A component's options as a protocol keeps them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

BEFORE = "before"
"""In the metadata of an option that was added to a dataclass later: the value that does what was done before."""


def options_of(component: Any) -> dict[str, Any]:
    """The options of a component by name; of a dataclass without those added later that do what was done before.

    So what was stored before there was such an option is still of the same protocol.
    """
    known = fields(component) if is_dataclass(component) else ()
    before = {option.name: option.metadata[BEFORE] for option in known if BEFORE in option.metadata}
    return {name: value for name, value in vars(component).items() if name not in before or value != before[name]}
