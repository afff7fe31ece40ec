"""Reading of configs from TOML files and JSON, with a check of every key."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from .. import regular_files
from ..errors import ConfigError, DataError, nearest, shown
from .parts import build
from .path_lookup import PathLookup, log_note
from .paths import absolute_paths
from .schema import (
    Config,
    KeyFault,
    Table,
)
from .toml import DEEPEST, key_of, override, parse, place

QUICK_START = "quickstart"
"""Name of the shipped config that needs no download."""
LONGEST_NAME = 255
"""Characters from which on a text may be too long for the name of a file."""
LONGEST = 200_000
"""Maximum characters of a config file: far more than any needs, and few enough to parse at once."""


def load(
    source: str | None,
    overrides: Sequence[str] = (),
    *,
    space: str | None = None,
    controller: str | None = None,
    note: Callable[[str], None] = log_note,
) -> Config:
    """Reads a config and checks that its components can be created.

    A relative path in a file is that of the working directory or, where nothing is there, that of the file's folder.
    Paths in the other arguments are those of the working directory.

    Args:
        source: A TOML file, or the name of a shipped experiment; None for the quick start.
        overrides: Keys to set, as KEY=VALUE, applied in order.
        space: Name of a search space, with default options, in place of the config's.
        controller: Name of a controller likewise.
        note: Receiver of a line on each path that is, or could be, the one beside the file.

    Returns:
        The config, with absolute paths.

    Raises:
        ConfigError: The config cannot be used; the message has file, line, key, the rule and the nearest valid name.
    """
    where, text = _read(QUICK_START if source is None else source)
    data = parse(where, text)
    replaced = {room: name for room, name in (("space", space), ("controller", controller)) if name is not None}
    data |= {room: {"name": name} for room, name in replaced.items()}
    for change in overrides:
        override(data, change)
    try:
        given = [*((room,) for room in replaced), *map(key_of, overrides)]
        config = absolute_paths(from_json(data), PathLookup(folder_of(source), given, note))
        build(config)
    except KeyFault as error:
        key_place = place(where, text, error.path, overrides)
        if error.path[0] in replaced and not key_place.startswith("--set"):
            key_place = f"--{error.path[0]}"
        raise ConfigError(f"{key_place}: {error}") from None
    return config


def from_json(data: object) -> Config:
    """The config in nested tables. Raises KeyFault for the first key at fault."""
    check_plain(data)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise explained(error) from None


def shipped() -> list[str]:
    """The names of the shipped experiments, sorted."""
    folder = _shipped()
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def shipped_config(name: str) -> Config:
    """The config of a shipped experiment, whose components need not be there."""
    return absolute_paths(from_json(parse(*_read(name))))


def folder_of(source: str | None) -> Path | None:
    """The folder of a config file; None for a shipped experiment."""
    return None if source is None or source in shipped() else Path(source).absolute().parent


def _shipped() -> Traversable:
    return files("nas.experiments").joinpath("configs")


def _read(source: str) -> tuple[str, str]:
    if source in shipped():
        return source, _shipped().joinpath(f"{source}.toml").read_text("utf-8")
    if not os.path.exists(Path(source)) and len(source) < LONGEST_NAME:
        raise ConfigError(
            f"there is no file or shipped experiment {source!r}: {nearest(source, shipped())}, or give a .toml file"
        )
    return source, read_text(source)


def read_text(source: str) -> str:
    """The text of a config file. Raises ConfigError where it cannot be read."""
    try:
        text = regular_files.read_text(Path(source), 4 * LONGEST)
    except DataError as error:
        raise ConfigError(f"config {shown(source)} cannot be read: {error}; give a .toml file") from None
    if len(text) > LONGEST:
        raise ConfigError(f"config {source!r} has more than {LONGEST} characters; is it the right file?")
    return text


def check_plain(data: object) -> None:
    """Raises KeyFault for values that no key takes and that later steps could not handle: numbers of more than 64 bits,
    dates, and deeply nested tables."""
    unchecked: list[tuple[tuple[str, ...], int, object]] = [((), 0, data)]
    while unchecked:
        path, depth, value = unchecked.pop()
        key = shown(".".join(path[:DEEPEST]))
        if depth > DEEPEST:
            raise KeyFault(f"key {key} is nested too deeply", path[:2])
        if isinstance(value, dict):
            unchecked += [((*path, str(name)), depth + 1, inner) for name, inner in value.items()]
        elif isinstance(value, list):
            unchecked += [(path, depth + 1, inner) for inner in value]
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise KeyFault(f"key {key} is a number beyond 64 bits; give a smaller one", path)
        elif isinstance(value, date | datetime | time):
            raise KeyFault(f"key {key} is {value}, a date or time, which no key takes; if it is a text, quote it", path)


def explained(error: ValidationError, model: type[Table] = Config) -> KeyFault:
    """The first key at fault, and why. Where a table and another type are allowed, a table is judged as a table."""
    details = error.errors(include_url=False)
    about = [detail for detail in details if detail["loc"][:2] == details[0]["loc"][:2]]
    deepest = max(about, key=lambda detail: len(detail["loc"]))
    location = deepest["loc"]
    # The third is pydantic's name for the type tried, but in a table in a table, which is tried as nothing else.
    tried = 0 if _table(location[:2], model) else 1
    path = [str(part) for part in (*location[:2], *location[2 + tried :])]
    key = shown(".".join(path)) if path else "the config"
    if deepest["type"] == "extra_forbidden":
        table = _table(path[:-1], model)
        return KeyFault(f"key {key} is not known: {nearest(path[-1], table.model_fields if table else ())}", path)
    if deepest["type"] == "missing":
        return KeyFault(f"key {key} is missing; give it", path)
    reasons = dict.fromkeys(_reason(detail) for detail in about if len(detail["loc"]) == len(location))
    return KeyFault(f"key {key} is {shown(deepest['input'])}: {'; '.join(reasons)}", path)


def _table(path: Sequence[int | str], model: type[Table]) -> type[Table] | None:
    """The class of the table with fixed keys at a path; None where the path leads to anything else."""
    table: type[Table] | None = model
    for name in path:
        field = table.model_fields.get(str(name)) if table else None
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        table = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Table)), None)
    return table


def _reason(detail: Any) -> str:
    if detail["type"] == "model_type":
        return "Input should be a table"
    if detail["type"] == "string_pattern_mismatch":
        return "Input should be 'auto', 'cpu', 'cuda' or 'cuda:N'"
    return str(detail["msg"]).removeprefix("Value error, ")
