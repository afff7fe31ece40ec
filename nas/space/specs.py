"""Comparison of two specs by value: what `decide` returned for the same choices must be the same."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..errors import SpaceError, shown
from ..failures import attempt, reason
from ..options import plain


def same_spec(one: Any, other: Any) -> bool:
    """Whether two specs are equal, where a number that is not one (nan) equals another such.

    Tuples, lists, mappings and dataclasses are compared part by part.

    Raises:
        SpaceError: A part has an `==` that says neither yes nor no, as a numpy array's.
    """
    if one is other:
        return True
    if type(one) is type(other):
        if isinstance(one, tuple | list):
            return len(one) == len(other) and all(map(same_spec, one, other))
        if isinstance(one, dict):
            return one.keys() == other.keys() and all(same_spec(value, other[key]) for key, value in one.items())
        dataclass = getattr(type(one), "__dataclass_params__", None)
        if dataclass is not None and dataclass.eq:
            compared = [field.name for field in fields(one) if field.compare]
            return all(same_spec(getattr(one, name), getattr(other, name)) for name in compared)
    answer = attempt(lambda: plain(one == other))
    if isinstance(answer.value, bool):
        return answer.value or (_is_nan(one) and _is_nan(other))
    raises = None if answer.error is None else f"raises {reason(answer.error)}"
    says = raises or f"gives {shown(answer.value)}, neither True nor False"
    raise SpaceError(
        f"the spec holds {shown(one)}, of type {type(one).__name__}, whose == {says}; return numbers, texts, tuples, "
        "lists and dataclasses of them: an array's values are array.tolist()"
    )


def _is_nan(value: Any) -> bool:
    """Whether a value is unequal to itself, as nan is, of Python's numbers or numpy's."""
    return attempt(lambda: plain(value != value)).value is True
