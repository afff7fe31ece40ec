"""Names and options of choices: what `choose` takes, and the plain Python values that it returns."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence, Set
from typing import Any

from .errors import SpaceError, shown

SEQUENCES = frozenset({list, tuple, range, str})
"""The usual types of options, which are taken without a further look: `decide` is called a million times."""
PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})


def text_name(name: object) -> str:
    """The name of a choice as a plain text, also of a subclass of str.

    Raises:
        SpaceError: It is not a text, or one that no file can hold. A number would come back as a text from every file,
            and match no choice.
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
    """Options that can be counted and indexed: an array's as a tuple of Python values, others as they are.

    Raises:
        SpaceError: They are a set, a mapping, a generator or another value without an order of its own.
    """
    if type(options) in SEQUENCES:
        return options
    found: Sequence[Any] = _without_arrays(options)
    indexed = hasattr(found, "__len__") and hasattr(found, "__getitem__")
    if not indexed or isinstance(found, Set | Mapping):
        raise SpaceError(
            f"choice {name!r} has the options {shown(options)}, of type {type(options).__name__}; give them in a "
            "list, a tuple or a range"
        )
    return found


def plain(option: Any) -> Any:
    """The option with Python's own numbers and texts in place of numpy's and torch's, also inside containers.

    An array becomes a number or nested tuples of numbers. So a spec can be compared, written as JSON and as source.
    Containers are copied only where something in them changes.
    """
    kind = type(option)
    if kind in PLAIN:
        return option
    if kind is dict:
        items = tuple(option.items())
        made = plain(items)
        return option if made is items else dict(made)
    named = isinstance(option, tuple) and hasattr(option, "_make")
    if named or kind in (tuple, list, set, frozenset):
        parts = [plain(part) for part in option]
        if all(one is other for one, other in zip(parts, option, strict=True)):
            return option
        return option._make(parts) if named else kind(parts)
    return _without_arrays(option)


def _without_arrays(value: Any) -> Any:
    """The Python value of a numpy scalar or an array of numpy or torch; anything else as it is."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")  # a value of theirs is there only once they are
    if numpy is not None:
        if isinstance(value, numpy.longdouble | numpy.clongdouble):  # whose tolist gives themselves
            return complex(value) if isinstance(value, numpy.clongdouble) else float(value)
        if isinstance(value, numpy.generic | numpy.ndarray):
            return _tuples(value.tolist())
    if torch is not None and isinstance(value, torch.Tensor):
        return _tuples(value.tolist())
    return value


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else plain(value)
