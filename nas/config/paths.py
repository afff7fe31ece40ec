"""Paths in a config: absolute paths, data files and their digests."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from ..errors import ConfigError
from ..registry import builtin, components, user_files
from ..space.tables import read_table, stamp
from .path_lookup import PathLookup
from .schema import PARTS, Component, Config, EvaluatorTable, SpaceTable, TasksTable, name_and_options

TABLE = "table"
"""Prefix of a space's name whose rest is a file."""
WORKING_DIRECTORY = PathLookup()
"""Relative paths are those of the working directory."""


def absolute_paths(config: Config, lookup: PathLookup = WORKING_DIRECTORY) -> Config:
    """The config with absolute paths, so that a run reads the same files from every folder.

    Paths are the files in names FILE.py:NAME and table:FILE, and the options whose type is a path. A leading ~ stands
    for the home folder. Unknown names and options are left unchanged.

    Args:
        config: The config.
        lookup: Where relative paths are looked for.

    Raises:
        KeyFault: A file of a relative path is neither in the working directory nor beside the config.
    """
    table = config.evaluator
    evaluator = _absolute("evaluator", table, ("evaluator",), lookup)
    learner = _absolute("learner", table.learner, ("evaluator", "learner"), lookup)
    contenders = {
        label: _absolute("controller", contender, ("compare", label), lookup, label)
        for label, contender in config.compare.items()
    }
    baseline = _absolute("space", config.final.baseline, ("final", "baseline"), lookup)
    changed = {
        "space": _absolute("space", config.space, ("space",), lookup),
        "tasks": config.tasks and _absolute("tasks", config.tasks, ("tasks",), lookup),
        "controller": _absolute("controller", config.controller, ("controller",), lookup),
        "evaluator": evaluator.model_copy(update={"learner": learner}),
        "final": config.final.model_copy(update={"baseline": baseline}),
        "compare": contenders,
    }
    return config.model_copy(update=changed)


def absolute_options(
    room: builtin.Room, name: str, options: dict[str, Any], keys: tuple[str, ...], lookup: PathLookup
) -> dict[str, str]:
    """The options of a component that are paths, as absolute paths.

    Args:
        room: Kind of the component.
        name: Its name.
        options: Its options.
        keys: Path of its table in the config.
        lookup: Where relative paths are looked for.

    Raises:
        KeyFault: As `absolute_paths`.
    """
    new = options.get("download") is True  # Such a folder is made.
    paths = _path_options(room, name, options)
    return {option: lookup.absolute(value, (*keys, option), new=new) for option, value in paths.items()}


def data_files(config: Config) -> list[str]:
    """The absolute paths of the data that a search reads: those of its tasks, its evaluator and its space."""
    paths: list[str] = []
    for room, table in _data_tables(config):
        paths += [_path(value) for value in _path_options(room, *name_and_options(table)).values()]
        for part, inner in _inner(table).items():
            paths += [_path(value) for value in _path_options(PARTS[part], *name_and_options(inner)).values()]
    prefix, _, rest = config.space.name.partition(":")
    return list(dict.fromkeys([*paths, *([_path(rest)] if prefix == TABLE else [])]))


def without_data_folders(config: Config) -> Config:
    """The config without the folders of its data files, for an export: another machine does not have them."""
    changed: dict[str, Any] = {}
    for room, table in _data_tables(config):
        inner = {part: _file_names(PARTS[part], value) for part, value in _inner(table).items()}
        changed[room] = _file_names(room, table).model_copy(update=inner)
    return config.model_copy(update=changed)


def file_digests(config: Config) -> dict[str, str]:
    """The SHA-256 of each data file, by path. Folders and files that cannot be read have none."""
    digests: dict[str, str] = {}
    for path in filter(os.path.isfile, data_files(config)):
        with suppress(OSError), Path(path).open("rb") as file:
            digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def space_digest(config: Config) -> str | None:
    """Digest of the table that a space table:FILE is made of; None for other spaces. Raises DataError."""
    prefix, _, rest = config.space.name.partition(":")
    return read_table(Path(rest), stamp(Path(rest))).digest if prefix == TABLE else None


def _data_tables(config: Config) -> list[tuple[builtin.Room, SpaceTable | TasksTable | EvaluatorTable]]:
    tables: tuple[tuple[builtin.Room, SpaceTable | TasksTable | EvaluatorTable | None], ...]
    tables = (("space", config.space), ("tasks", config.tasks), ("evaluator", config.evaluator))
    return [(room, table) for room, table in tables if table is not None]


def _inner(table: Component) -> dict[str, str | Component]:
    """The components that a table names inside it."""
    inner = {part: getattr(table, part, None) for part in PARTS}
    return {part: value for part, value in inner.items() if value is not None}


def _file_names(room: builtin.Room, table: Any) -> Any:
    """A component's table, or its name alone, with the names of files in place of their paths."""
    paths = _path_options(room, *name_and_options(table))
    names = {option: Path(path).name for option, path in paths.items()}
    return table.model_copy(update=names) if names else table


def _absolute(room: builtin.Room, table: Any, keys: tuple[str, ...], lookup: PathLookup, label: str = "") -> Any:
    """A component's table, or its name alone, with absolute paths. `label` is the name of a table without its own."""
    name, options = name_and_options(table)
    if isinstance(table, str):
        return _absolute_name(room, name, keys, lookup)
    inner = {part: _absolute(PARTS[part], value, (*keys, part), lookup) for part, value in _inner(table).items()}
    named = name or (label if user_files.is_user_class_name(label) else "")
    absolute = _absolute_name(room, named, (*keys, "name"), lookup)
    paths = absolute_options(room, absolute or label, options, keys, lookup)
    return table.model_copy(update={"name": absolute, **paths, **inner})


def _absolute_name(room: builtin.Room, name: str, keys: tuple[str, ...], lookup: PathLookup) -> str:
    """The name with an absolute path, where it is FILE.py:NAME or, of a space, table:FILE; other names unchanged."""
    prefix, colon, rest = name.partition(":")
    if room == "space" and colon and prefix == TABLE:
        return f"{prefix}:{lookup.absolute(rest, keys)}"
    if not user_files.is_user_class_name(name):
        return name
    file, _, attribute = name.rpartition(":")
    return f"{lookup.absolute(file, keys)}:{attribute}"


def _path_options(room: builtin.Room, name: str, options: dict[str, Any]) -> dict[str, str]:
    """The options that are paths by the annotations of the component's constructor."""
    if not options:
        return {}
    try:
        known = components.readable_options(components.find(room, name)) or {}
    except ConfigError:
        return {}
    return {
        option: value
        for option, value in options.items()
        if isinstance(value, str) and Path in (known.get(option), *get_args(known.get(option)))
    }


def _path(text: str) -> str:
    return str(Path(os.path.expanduser(text)).absolute())  # Path.expanduser raises for an unknown user
