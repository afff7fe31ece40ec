"""The files that a config names: made absolute, so that a run reads the same ones from every folder."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from ..failures import attempt
from ..registry import builtin, components, user_files
from ..space.tables import read_table, stamp
from .schema import Component, Config, name_and_options

TABLE = "table"
"""The prefix of a space's name whose rest is a file."""


def absolute_paths(config: Config) -> Config:
    """The config with absolute paths: of a person's own classes, and of all options that are paths by their type.

    A leading ~ stands for the home folder. A config whose paths are absolute is given back as it is; names and options
    that are not known are left as they are.
    """
    evaluator = _absolute("evaluator", config.evaluator)
    evaluator = evaluator.model_copy(update={"learner": _absolute("learner", config.evaluator.learner)})
    contenders = {label: _absolute("controller", table, label) for label, table in config.compare.items()}
    changed = {
        "space": _absolute("space", config.space),
        "tasks": config.tasks and _absolute("tasks", config.tasks),
        "controller": _absolute("controller", config.controller),
        "evaluator": evaluator,
        "final": config.final.model_copy(update={"baseline": _absolute("space", config.final.baseline)}),
        "compare": contenders,
    }
    return config.model_copy(update=changed)


def data_files(config: Config) -> list[str]:
    """The absolute paths of the data that a search reads: of its tasks, its evaluator and its space."""
    found: list[str] = []
    for room, table in _data_tables(config):
        found += [_path(value) for value in _path_options(room, *name_and_options(table)).values()]
    prefix, _, rest = config.space.name.partition(":")
    return list(dict.fromkeys([*found, *([_path(rest)] if prefix == TABLE else [])]))


def without_data_folders(config: Config) -> Config:
    """The config with the names alone of the files and folders of its data: what an export tells of them, which another
    machine does not have."""
    changed: dict[str, Any] = {}
    for room, table in _data_tables(config):
        paths = _path_options(room, *name_and_options(table))
        changed[room] = table.model_copy(update={option: Path(path).name for option, path in paths.items()})
    return config.model_copy(update=changed)


def file_digests(config: Config) -> dict[str, str]:
    """The SHA-256 of each of `data_files` that is an ordinary file and can be read."""
    found: dict[str, str] = {}
    for path in filter(os.path.isfile, data_files(config)):
        with suppress(OSError), Path(path).open("rb") as file:
            found[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def space_digest(config: Config) -> str | None:
    """A digest of the table whose rows are the space; None for any other space. Raises DataError."""
    prefix, _, rest = config.space.name.partition(":")
    return read_table(Path(rest), stamp(Path(rest))).digest if prefix == TABLE else None


def _data_tables(config: Config) -> list[tuple[builtin.Room, Component]]:
    tasks: list[tuple[builtin.Room, Component]] = [] if config.tasks is None else [("tasks", config.tasks)]
    return [*tasks, ("evaluator", config.evaluator)]


def _absolute(room: builtin.Room, table: Any, label: str = "") -> Any:
    """A table, or a name alone, with absolute paths."""
    name, options = name_and_options(table)
    absolute = _absolute_space(name) if room == "space" else user_files.absolute(name)
    if isinstance(table, str):
        return absolute
    paths = {option: _path(value) for option, value in _path_options(room, name or label, options).items()}
    return table.model_copy(update={"name": absolute, **paths})


def _absolute_space(name: str) -> str:
    prefix, colon, rest = name.partition(":")
    return f"{prefix}:{_path(rest)}" if colon and prefix == TABLE else user_files.absolute(name)


def _path_options(room: builtin.Room, name: str, options: dict[str, Any]) -> dict[str, str]:
    """The options of a component that are paths, by the annotations of its constructor."""
    if not options:
        return {}
    known, error = attempt(lambda: components.options_of(components.find(room, name)))
    if error is not None:
        return {}
    return {
        option: value
        for option, value in options.items()
        if isinstance(value, str) and Path in (known.get(option), *get_args(known.get(option)))
    }


def _path(text: str) -> str:
    return str(Path(os.path.expanduser(text)).absolute())  # Path.expanduser raises for an unknown user
