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
    if not is_dataclass(component):
        return {name: _plain(value) for name, value in vars(component).items()}
    told = [option for option in fields(component) if LEFT_OUT not in option.metadata]
    pairs = [(option, getattr(component, option.name)) for option in told]
    return {
        option.name: _plain(value)
        for option, value in pairs
        if BEFORE not in option.metadata or value != option.metadata[BEFORE]
    }


def _plain(value: Any) -> Any:
    return value.describe() if isinstance(value, Described) else value


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
