"""Names and options of choices: validation, and conversion to plain Python values."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence, Set
from typing import Any

from .errors import SpaceError, shown

SEQUENCES = frozenset({list, tuple, range, str})
"""Types of options that need no conversion. The check is one look-up because a search decides millions of times."""
PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})
"""Types of values that need no conversion."""


def text_name(name: object) -> str:
    """The name of a choice as a plain str, also where it is an instance of a subclass.

    Raises:
        SpaceError: The name is not a text, or no UTF-8 file can hold it. A number is refused because it would come
            back from a file as a text, which matches no choice.
    """
    if isinstance(name, str):
        text = str.__str__(name)
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise SpaceError(
                f"choice {text!r} has a lone surrogate in its name, which no file of UTF-8 holds; leave it out"
            )
        return text
    raise SpaceError(
        f"a choice is named {shown(name)}, of type {type(name).__name__}; a choice's name must be a text: write "
        f'f"{{i}}" or f"layer{{i}}" instead of i'
    )


def as_sequence(name: str, options: Sequence[Any]) -> Sequence[Any]:
    """Options that can be counted and indexed. An array becomes a tuple of Python values; others stay as they are.

    Args:
        name: Name of the choice, for the message.
        options: Options of the choice.

    Raises:
        SpaceError: The options are a set, a mapping, a generator or another value without an order of its own.
    """
    if type(options) in SEQUENCES:
        return options
    sequence: Sequence[Any] = _without_arrays(options)
    indexable = hasattr(sequence, "__len__") and hasattr(sequence, "__getitem__")
    if not indexable or isinstance(sequence, Set | Mapping):
        raise SpaceError(
            f"choice {name!r} has the options {shown(options)}, of type {type(options).__name__}; give them in a "
            "list, a tuple or a range"
        )
    return sequence


def plain(option: Any) -> Any:
    """The option with Python's own numbers and texts in place of numpy's and torch's, also inside containers.

    An array becomes a number or nested tuples of numbers, so that a spec can be compared and written as JSON or as
    source. A container is copied only where something in it changes.
    """
    kind = type(option)
    if kind in PLAIN:
        return option
    if kind is dict:
        items = tuple(option.items())
        plain_items = plain(items)
        return option if plain_items is items else dict(plain_items)
    is_named_tuple = isinstance(option, tuple) and hasattr(option, "_make")
    if is_named_tuple or kind in (tuple, list, set, frozenset):
        parts = [plain(part) for part in option]
        if all(new is old for new, old in zip(parts, option, strict=True)):
            return option
        return option._make(parts) if is_named_tuple else kind(parts)
    return _without_arrays(option)


def _without_arrays(value: Any) -> Any:
    """The Python value of a numpy scalar or of an array of numpy or torch; any other value as it is."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")  # not imported: then no value can be theirs
    if numpy is not None:
        if isinstance(value, numpy.longdouble | numpy.clongdouble):  # their tolist returns the scalar itself
            return complex(value) if isinstance(value, numpy.clongdouble) else float(value)
        if isinstance(value, numpy.generic | numpy.ndarray):
            return _nested_tuples(value.tolist())
    if torch is not None and isinstance(value, torch.Tensor):
        return _nested_tuples(value.tolist())
    return value


def _nested_tuples(value: Any) -> Any:
    return tuple(map(_nested_tuples, value)) if isinstance(value, list) else plain(value)
