"""Options of a component as they stand in a protocol."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Described(Protocol):
    """Value of an option that is described by other values."""

    def describe(self) -> dict[str, Any]:
        """The description, as JSON values."""
        ...


BEFORE = "before"
"""Metadata key of a dataclass field that was added later: the value with which the class behaves as before."""

LEFT_OUT = "left out"
"""Metadata key of a dataclass field that says where something is, not what: the thing itself is another field."""


def options_of(component: Any) -> dict[str, Any]:
    """Options of a component by name.

    A field of a dataclass that was added later is left out where its value keeps the earlier behaviour. Scores stored
    before the field existed then still have the same protocol. A value with a method `describe` stands as it says.
    """
    known = fields(component) if is_dataclass(component) else ()
    before = {option.name: option.metadata[BEFORE] for option in known if BEFORE in option.metadata}
    out = {option.name for option in known if LEFT_OUT in option.metadata}
    options = {name: value for name, value in vars(component).items() if name not in before or value != before[name]}
    return {name: _plain(value) for name, value in options.items() if name not in out}


def _plain(value: Any) -> Any:
    return value.describe() if isinstance(value, Described) else value


def described_options(component: Any) -> dict[str, Any]:
    """As `options_of` for a dataclass, with an augmentation among the options as its `describe` gives it."""
    names = {option.name for option in fields(component)}
    options = {name: value for name, value in options_of(component).items() if name in names}
    return {name: value.describe() if hasattr(value, "describe") else value for name, value in options.items()}


def described(component: Any) -> dict[str, Any] | None:
    """A component as it stands in a protocol: what its method `describe` gives, else its name and options.

    None stands for None.
    """
    if component is None:
        return None
    describe = getattr(component, "describe", None)
    if callable(describe):
        return dict(describe())
    return {"name": component.name, **options_of(component)}
