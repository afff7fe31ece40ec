"""Look-up and construction of components by name, with options that are checked against their annotations."""

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
from ..bounds import check_length
from ..errors import ConfigError, NasError, nearest, shown
from ..failures import attempt, reason
from . import user_files
from .builtin import BUILT_IN, ENTRY_POINT_GROUPS, OPTIMIZER_TRAINING, PREFIXES, SPACE_ADAPTER, USER_CLASSES, Room


def names(room: Room) -> list[str]:
    """The fixed names of a room's components, sorted: the built-in ones and those of entry points."""
    return sorted({*BUILT_IN[room], *(point.name for point in _entry_points(room))})


def find(room: Room, name: str) -> Callable[..., Any]:
    """The class of a component, or a function that makes instances.

    Args:
        room: The kind of component.
        name: A built-in name, PREFIX:REST, the name of an entry point (tried in this order), or, for all kinds but
            evaluators, a user's class as FILE.py:NAME; such a space may also be a ModelSpace of NNI.

    Raises:
        ConfigError: The name is not known (the message has the nearest one), or its module or file cannot be loaded.
    """
    if name in BUILT_IN[room]:
        return _built_in(BUILT_IN[room][name])
    prefix, colon, rest = name.partition(":")
    if colon and prefix in PREFIXES.get(room, {}):
        constructor: Callable[..., Any] = _built_in(PREFIXES[room][prefix])(rest)
        return constructor
    for point in _entry_points(room):
        if point.name == name:
            return _load(point)
    if room in USER_CLASSES and user_files.is_user_class_name(name):
        return _user_class(room, name)
    forms = "".join(f", {prefix}:NAME" for prefix in PREFIXES.get(room, {}))
    or_file = ", or a class of yours as FILE.py:NAME" if room in USER_CLASSES else ""
    raise ConfigError(f"{room} {shown(name)} is not known: {nearest(name, names(room))}{forms}{or_file}")


def room_of(name: str) -> Room:
    """The kind of a component that `nas check` is given by name: a space where it is none of the others.

    A user's class is of the first kind one of whose own methods it has: `ask`, `tell`, `tasks`, `meta_gradient`, …
    """
    others: tuple[Room, ...] = ("controller", "tasks", "learner")
    if user_files.is_user_class_name(name):
        cls = user_files.find(name)
        of_space = any(hasattr(cls, method) for method in USER_CLASSES["space"][1])
        own = {room: set(USER_CLASSES[room][1]) - {"check", "describe", "initial", "at"} for room in others}
        return next((r for r in others if not of_space and any(hasattr(cls, method) for method in own[r])), "space")
    return next((room for room in others if attempt(find, room, name).error is None), "space")


def is_controller(name: str) -> bool:
    """Whether a name is that of a controller: a known one, or a user's class that has `ask` or `tell`."""
    return room_of(name) == "controller"


def create(room: Room, name: str, options: Mapping[str, Any], *, beside: Iterable[str] = (), **arguments: Any) -> Any:
    """An instance of a named component.

    Args:
        room: The kind of component.
        name: Its name, as `find` takes it.
        options: Values from a config. They are checked against the annotations of the constructor's parameters, and
            nothing is coerced.
        beside: Other keys of the config's table, which are suggested for an unknown option too.
        **arguments: Values from the program, such as space and seed, which a config cannot give.

    Raises:
        ConfigError: An option is unknown (the message has the nearest one) or of a wrong type, or the constructor
            refuses or fails.
    """
    cls = find(room, name)
    checked = checked_options(room, name, options, beside=beside, given=arguments)
    # Other people's components may raise anything, and torch has errors of its own for a size that no memory holds.
    made = attempt(cls, **arguments, **checked)
    if isinstance(made.error, NasError):
        raise made.error
    if made.error is not None:
        raise ConfigError(_failure(room, name, cls, arguments, made.error))
    if room == "space" and not isinstance(attempt(getattr, made.value, "name").value, str):
        raise ConfigError(f"space {name!r} needs a `name`, a text that its architectures bear")
    return made.value


def checked_options(
    room: Room, name: str, options: Mapping[str, Any], *, beside: Iterable[str] = (), given: Iterable[str] = ()
) -> dict[str, Any]:
    """The options of a component as its constructor takes them, without making the component.

    Args:
        room: The kind of component.
        name: Its name, as `find` takes it.
        options: Values from a config.
        beside: Other keys of the config's table, which are suggested for an unknown option too.
        given: Parameters of the constructor that the program gives, and a config cannot.

    Raises:
        ConfigError: The name or an option is unknown (the message has the nearest one), or its type is wrong.
    """
    known = attempt(options_of, find(room, name))
    if known.error is not None:
        raise ConfigError(f"{room} {name!r} has a constructor whose options cannot be read: {reason(known.error)}")
    given = set(given)
    checked: dict[str, Any] = {}
    for option, value in options.items():
        if option not in known.value or option in given:
            valid = (set(known.value) - given) | set(beside)
            raise ConfigError(f"{room} {name!r} has no option {shown(option)}; {nearest(option, valid)}")
        checked[option] = _checked(f"{room} {name!r} option {option!r}", known.value[option], value)
    return checked


def optimizer_trainer(network: Mapping[str, Any], optimizee: Any, training: Mapping[str, Any], device: str) -> Any:
    """The training of a learned optimizer that a config's tables describe. Raises ConfigError for their values."""
    return _built_in(OPTIMIZER_TRAINING)(network, optimizee, training, device)


def options_of(cls: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a component's constructor, with their types by name. Raises what reading annotations raises."""
    if isinstance(cls, partial):  # a class with other default options
        return options_of(cls.func)
    # The annotations of a dataclass are read class by class, since a base's may name what the module of cls lacks.
    whole = is_dataclass(cls) or not isinstance(cls, type)
    hints = get_type_hints(cls if whole else cls.__init__)
    parameters = list(inspect.signature(cls).parameters.values())
    return {p.name: hints.get(p.name, Any) for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def readable_options(cls: Callable[..., Any]) -> dict[str, Any] | None:
    """What `options_of` returns; None where it cannot read the annotations, as with a name that does not exist."""
    return attempt(options_of, cls).value


def _user_class(room: Room, name: str) -> Callable[..., Any]:
    cls = user_files.find(name)
    component: Callable[..., Any] = _built_in(SPACE_ADAPTER)(cls) if room == "space" else cls
    if component is cls:
        user_files.check(cls, name, *USER_CLASSES[room])
    return component


def _failure(room: Room, name: str, cls: Any, arguments: Mapping[str, Any], error: BaseException) -> str:
    by = f"; it is called with {' and '.join(arguments)}" if arguments and isinstance(error, TypeError) else ""
    in_user_file = isinstance(cls, type) and user_files.is_user_class(cls)
    line = f" ({failures.place(cls, '__init__', error)})" if in_user_file else ""
    return f"{room} {name!r} cannot be made: {reason(error)}{by}{line}"


def _built_in(path: str) -> Callable[..., Any]:
    module, _, attribute = path.partition(":")
    component: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return component


def _checked(what: str, annotation: Any, value: Any) -> Any:
    """The value as the annotation has it, such as a tuple for a list. Raises ConfigError where it does not fit."""
    check_length(what, value)
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


def _entry_points(room: Room) -> list[EntryPoint]:
    return list(entry_points(group=ENTRY_POINT_GROUPS[room]))


def _load(point: EntryPoint) -> Callable[..., Any]:
    loaded = attempt(point.load)
    if loaded.error is not None:
        why = reason(loaded.error)
        raise ConfigError(f"{point.group} {point.name!r} ({point.value}) cannot be loaded: {why}") from loaded.error
    component: Callable[..., Any] = loaded.value
    return component
