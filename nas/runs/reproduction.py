"""Commands that repeat a run, continue it, and use what it found."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import reading
from ..config.schema import Config
from ..config.toml import override
from ..errors import ConfigError
from ..registry import user_files


def commands(name: str, config: Config) -> list[str]:
    """The commands, as one types them in a shell; files are named without their folders.

    Args:
        name: The run's name.
        config: Its config.
    """
    source, changes = nearest_shipped(config) or (f"{name}.toml", {})
    shortened = [f"{key}={_toml(user_files.shortened(value))}" for key, value in changes.items()]
    repeat = ["nas", "search", source, "--name", f"{name}-again", *(part for c in shortened for part in ("--set", c))]
    others = [["nas", "resume", name], ["nas", "report", name], ["nas", "export", name, "--out", f"{name}-network"]]
    return [shlex.join(command) for command in (repeat, *others)]


def nearest_shipped(config: Config) -> tuple[str, dict[str, Any]] | None:
    """The shipped experiment that the fewest overrides make equal to a config, and these as values by key.

    None where no overrides do, as a key cannot be unset.
    """
    wanted = config.to_json()
    differing = {name: dict(_changes(reading.shipped_config(name).to_json(), wanted)) for name in reading.shipped()}
    for name in sorted(differing, key=lambda name: len(_toml(differing[name]))):
        overrides = [f"{key}={_toml(value)}" for key, value in differing[name].items()]
        if _is_made(wanted, name, overrides):
            return name, differing[name]
    return None


def _changes(base: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys to set in one config to make it another, with their values."""
    for key, value in wanted.items():
        before = base.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and before.keys() <= value.keys():
            yield from _changes(before, value, f"{prefix}{key}.")
        elif key not in base or before != value:
            yield f"{prefix}{key}", value


def _is_made(wanted: Mapping[str, Any], name: str, overrides: list[str]) -> bool:
    """Whether a shipped experiment with these overrides is the config that is wanted."""
    data = reading.shipped_config(name).to_json()
    try:
        for text in overrides:
            override(data, text)
        return reading.from_json(data).to_json() == wanted
    except ConfigError:
        return False


def _toml(value: Any) -> str:
    """A value as TOML in one line; keys without a value are left out of tables."""
    if isinstance(value, Mapping):
        inner = (f"{json.dumps(str(key))} = {_toml(entry)}" for key, entry in value.items() if entry is not None)
        return f"{{ {', '.join(inner)} }}"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
