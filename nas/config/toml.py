"""A config's text: TOML, `KEY=VALUE` in place of parts of it, and the line where a key is set."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError, shown

DEEPEST = 16
"""Tables in tables: far more than any config needs."""
DEEP_KEY = re.compile(rf"""(?<![\w"'-])(?:[\w"'-]+[ \t]*\.[ \t]*){{{DEEPEST}}}""")
"""A dotted key of too many parts, for which tomllib's memory grows with the square of their number."""


def parse(where: str, text: str) -> dict[str, Any]:
    """The tables of a text that is called `where`. Raises ConfigError with the line at fault."""
    huge = re.search(r"[0-9_]{4000}", text)  # Python reads no decimal number of more than 4,300 digits
    if huge:
        line = text.count("\n", 0, huge.start()) + 1
        raise ConfigError(f"{where}:{line}: this holds a number of thousands of digits; give a smaller one")
    try:
        return _toml(text)
    except ValueError as error:
        found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        place = f"{where}:{found[1]}" if found else where
        raise ConfigError(f"{place}: this is not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{where} is nested too deeply to be a config") from None


def _toml(text: str) -> dict[str, Any]:
    """The tables of a text. Raises ValueError, or RecursionError for one that is nested deeply."""
    if DEEP_KEY.search(text):
        raise RecursionError
    return tomllib.loads(text)


def override(data: dict[str, Any], text: str) -> None:
    """Sets a key of the tables, in place, as KEY=VALUE says. Raises ConfigError."""
    key, equals, value = text.partition("=")
    names = _names(key)
    if not equals or not all(names):
        raise ConfigError(f"--set {shown(text)}: write it as TABLE.KEY=VALUE, for example --set search.trials=20")
    table = data
    for name in names[:-1]:
        inner = table.setdefault(name, {})
        if isinstance(inner, str):  # `learner = "anil"` and `--set evaluator.learner.steps=3` together
            inner = table[name] = {"name": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {shown(text)}: {name!r} is a value, not a table")
        table = inner
    table[names[-1]] = _value(value.strip())


def _names(key: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in key.split("."))


def _value(text: str) -> Any:
    """A TOML value; what is not one is a string, so that paths need no quotes."""
    try:
        parsed = _toml(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def place(where: str, text: str, path: tuple[str, ...], overrides: Sequence[str]) -> str:
    """Where a key was set: by an override, or in a line of the file; where it is missing, that of its table."""
    for override in reversed(overrides):
        key = override.partition("=")[0].strip()
        names = _names(key)
        if names == path[: len(names)] or path == names[: len(path)]:
            return f"--set {shown(key)[1:-1]}"
    lines = (_line(text, path[:length]) for length in range(len(path), 0, -1))
    return next((f"{where}:{line}" for line in lines if line), where)


def _line(text: str, path: tuple[str, ...]) -> int | None:
    """The line where a key is set: the text above it, parsed, lacks the key, and with what follows has it."""
    lines = text.split("\n")
    start = 1
    for end in range(1, min(len(lines), 1000) + 1):
        try:
            table: Any = tomllib.loads("\n".join(lines[:end]))
        except ValueError:
            continue  # it ends in the middle of a value
        for name in path:
            table = table.get(name) if isinstance(table, dict) else None
        if table is not None:
            return start
        start = end + 1
    return None
