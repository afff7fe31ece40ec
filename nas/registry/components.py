"""Every component by name: the built-in ones, and those that other packages offer through entry points."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from .. import failures
from ..errors import ConfigError, NasError, nearest, shown
from ..failures import attempt, reason
from . import user_files
from .builtin import AS_SPACE, BUILT_IN, ENTRY_POINT_GROUPS, OWN, PREFIXES, Room


def names(room: Room) -> list[str]:
    """The names that `find` knows in a room, sorted."""
    return sorted({*BUILT_IN[room], *(point.name for point in _points(room))})


def find(room: Room, name: str) -> Callable[..., Any]:
    """The class of a name, or a function that makes instances; built-in names come before entry points.

    A space or a controller may be a person's own, FILE.py:NAME; such a space also a ModelSpace of NNI.

    Raises ConfigError for an unknown name, with the nearest known one, and for an entry point or a file that cannot be
    loaded.
    """
    if name in BUILT_IN[room]:
        return _built_in(BUILT_IN[room][name])
    prefix, colon, rest = name.partition(":")
    if colon and prefix in PREFIXES.get(room, {}):
        constructor: Callable[..., Any] = _built_in(PREFIXES[room][prefix])(rest)
        return constructor
    for point in _points(room):
        if point.name == name:
            return _load(point)
    if room in OWN and user_files.is_own(name):
        cls = user_files.find(name)
        found: Callable[..., Any] = _built_in(AS_SPACE)(cls) if room == "space" else cls
        if found is cls:
            user_files.check(cls, name, *OWN[room])
        return found
    others = "".join(f", {prefix}:NAME" for prefix in PREFIXES.get(room, {}))
    or_own = ", or a class of yours as FILE.py:NAME" if room in OWN else ""
    raise ConfigError(f"{room} {shown(name)} is not known: {nearest(name, names(room))}{others}{or_own}")


def is_controller(name: str) -> bool:
    """Whether a name is that of a controller: a known one, or a class of a person's own with `ask` or `tell`."""
    if user_files.is_own(name):
        cls = user_files.find(name)
        return any(hasattr(cls, method) for method in OWN["controller"][1])
    return attempt(find, "controller", name).error is None


def create(room: Room, name: str, options: Mapping[str, Any], *, beside: Iterable[str] = (), **given: Any) -> Any:
    """An instance of a named component from a config's `options`, with what the program itself gives (space, seed, …).

    Options are checked against the annotations of the class's constructor; nothing is coerced. Raises ConfigError,
    with the nearest option, for an unknown one, a wrong type, or a value that the constructor cannot take. `beside` are
    the keys that may stand beside the options, so that they are suggested too.
    """
    cls = find(room, name)
    known, error = attempt(options_of, cls)
    if error is not None:
        raise ConfigError(f"{room} {name!r} has a constructor whose options cannot be read: {reason(error)}")
    checked: dict[str, Any] = {}
    for option, value in options.items():
        if option not in known or option in given:
            rest = (set(known) - set(given)) | set(beside)
            raise ConfigError(f"{room} {name!r} has no option {shown(option)}; {nearest(option, rest)}")
        checked[option] = _typed(f"{room} {name!r} option {option!r}", known[option], value)
    # Attempted: torch has errors of its own for a size that no memory holds, and so may other people's components.
    made, error = attempt(cls, **given, **checked)
    if error is not None:
        raise error if isinstance(error, NasError) else ConfigError(_unmade(room, name, cls, given, error))
    if room == "space" and not isinstance(attempt(getattr, made, "name").value, str):
        raise ConfigError(f"space {name!r} needs a `name`, a text that its architectures bear")
    return made


def options_of(cls: Callable[..., Any]) -> dict[str, Any]:
    """A component's options: the parameters of its constructor with their types."""
    if isinstance(cls, partial):  # a class with other default options
        return options_of(cls.func)
    # Of a dataclass, each annotation is read where it was written: a base's may name what the module of cls does not.
    whole = is_dataclass(cls) or not isinstance(cls, type)
    hints = get_type_hints(cls if whole else cls.__init__)
    parameters = list(inspect.signature(cls).parameters.values())
    return {p.name: hints.get(p.name, Any) for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _unmade(room: Room, name: str, cls: Any, given: Mapping[str, Any], error: BaseException) -> str:
    by = f"; it is called with {' and '.join(given)}" if given and isinstance(error, TypeError) else ""
    place = f" ({failures.place(cls, '__init__', error)})" if isinstance(cls, type) and user_files.is_found(cls) else ""
    return f"{room} {name!r} cannot be made: {reason(error)}{by}{place}"


def _built_in(place: str) -> Callable[..., Any]:
    module, _, attribute = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def _typed(what: str, annotation: Any, value: Any) -> Any:
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
        # Through JSON, so that a list may stand for a tuple and a string for a path, as a config file writes them.
        typed = adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        reasons = "; ".join(dict.fromkeys(detail["msg"] for detail in error.errors()))
        raise ConfigError(f"{what} is {shown(value)}: {reasons}") from None
    # To pydantic, true and 1.0 are among the options of Literal[1, 2].
    if isinstance(typed, int) and type(typed) is not type(value):
        raise ConfigError(f"{what} is {shown(value)}: Input should be a valid integer")
    return typed


def _points(room: Room) -> list[EntryPoint]:
    return list(entry_points(group=ENTRY_POINT_GROUPS[room]))


def _load(point: EntryPoint) -> Callable[..., Any]:
    loaded, error = attempt(point.load)
    if error is not None:
        raise ConfigError(f"{point.group} {point.name!r} ({point.value}) cannot be loaded: {reason(error)}") from error
    found: Callable[..., Any] = loaded
    return found
