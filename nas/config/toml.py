"""TOML text of a config: parsing, `KEY=VALUE` overrides, and the line of a key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import ConfigError, shown

DEEPEST = 16
"""Maximum depth of nested tables, far more than any config needs."""
DEEP_KEY = re.compile(rf"""(?<![\w"'-])(?:[\w"'-]+[ \t]*\.[ \t]*){{{DEEPEST}}}""")
"""A dotted key of too many parts, for which tomllib's memory grows with the square of their number."""
CURLY = "“”„‟‘’‚‛«»"
"""Quotes that word processors and chats write in place of straight ones."""
STRAIGHT = "write straight quotes, \" or '"
BACKSLASHES = "write a path with backslashes in single quotes, such as 'C:\\data\\images', or with / in place of \\"
TOKEN = re.compile(
    r"""
    \#[^\n]*                         # a comment
    | \"{3} (?:\\.|[^\\])*? \"{3,5}  # strings of several lines, whose last characters may be quotes as well
    | '{3} .*? '{3,5}
    | " (?:\\.|[^"\\])* "
    | ' [^']* '
    | [\[\]{}\n]
    """,
    re.DOTALL | re.VERBOSE,
)
"""What decides where a statement of a valid TOML text ends: newlines, brackets, and the texts that may hold these."""


def parse(where: str, text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Args:
        where: The name of the file, for error messages.
        text: Its content.

    Raises:
        ConfigError: The text is not valid TOML, or nested too deeply; the message names the line where it is known.
    """
    huge = re.search(r"[0-9_]{4000}", text)  # Python reads no decimal number of more than 4,300 digits
    if huge:
        line = text.count("\n", 0, huge.start()) + 1
        raise ConfigError(f"{where}:{line}: this holds a number of thousands of digits; give a smaller one")
    try:
        return _loads(text)
    except ValueError as error:
        position = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        prefix = f"{where}:{position[1]}" if position else where
        raise ConfigError(f"{prefix}: this is not valid TOML: {error}{_remedy(text, position)}") from None
    except RecursionError:
        raise ConfigError(f"{where} is nested too deeply to be a config") from None


def override(data: dict[str, Any], text: str) -> None:
    """Sets a key of nested tables, in place, as the text KEY=VALUE says.

    Raises:
        ConfigError: The text has another form, or its key leads through a value that is not a table.
    """
    key, equals, value = text.partition("=")
    names = _names(key)
    if not equals or not all(names):
        raise ConfigError(f"--set {shown(text)}: write it as TABLE.KEY=VALUE, for example --set search.trials=20")
    if value.strip()[:1] in [*CURLY]:
        raise ConfigError(f"--set {shown(text)}: {value.strip()[0]} is a curly quote: {STRAIGHT}, or none")
    table = data
    for name in names[:-1]:
        inner = table.setdefault(name, {})
        if isinstance(inner, str):  # `learner = "anil"` and `--set evaluator.learner.steps=3` together
            inner = table[name] = {"name": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {shown(text)}: {name!r} is a value, not a table")
        table = inner
    table[names[-1]] = _value(value.strip())


def key_of(text: str) -> tuple[str, ...]:
    """Path of the key that a text KEY=VALUE sets."""
    return _names(text.partition("=")[0])


def place(where: str, text: str, path: tuple[str, ...], overrides: Sequence[str]) -> str:
    """Source of a key, as an error message names it.

    Args:
        where: The name of the file.
        text: Its content, valid TOML.
        path: The names of the tables that the key is in, outermost first, then the key's own.
        overrides: The KEY=VALUE texts that were applied to the tables of the file, in order.

    Returns:
        '--set KEY' for the last override of the key, of a table around it or of a key within it; otherwise
        'FILE:LINE', for a missing key with the line of the innermost table around it; 'FILE' where there is no line.
    """
    for change in reversed(overrides):
        key = change.partition("=")[0].strip()
        names = key_of(change)
        if names == path[: len(names)] or path == names[: len(path)]:
            return f"--set {shown(key)[1:-1]}"
    line = _line(text, path)
    return where if line is None else f"{where}:{line}"


def _remedy(text: str, position: re.Match[str] | None) -> str:
    """What to do about a line that is not valid TOML, where its cause is a usual one."""
    if position is None:
        return ""
    line = text.split("\n")[int(position[1]) - 1]
    curly = next((letter for letter in line if letter in CURLY), None)
    if curly is not None:
        return f"; {curly} is a curly quote: {STRAIGHT}"
    return f"; {BACKSLASHES}" if "\\" in line else ""


def _loads(text: str) -> dict[str, Any]:
    """The tables of a text. Raises ValueError, or RecursionError for one that is nested deeply."""
    if DEEP_KEY.search(text):
        raise RecursionError
    return tomllib.loads(text)


def _names(key: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in key.split("."))


def _value(text: str) -> Any:
    """A TOML value; what is not one is a string, so that paths need no quotes."""
    try:
        parsed = _loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _line(text: str, path: tuple[str, ...]) -> int | None:
    """The first line of the first statement that sets the longest part of a path; None where none sets any of it."""
    deepest, deepest_line = 0, None
    rest = path  # the names that a key of the current table may lead on with; empty where the path is not in the table
    for line, statement in _statements(text):
        is_header = statement.lstrip().startswith("[")
        if is_header:
            rest = path
        if not rest or (rest[0] not in statement and "\\" not in statement):  # a name may be written with escapes
            rest = () if is_header else rest
            continue
        content = tomllib.loads(statement)
        depth = len(path) - len(rest) + _depth(content, rest)
        if depth > deepest:
            deepest, deepest_line = depth, line
        if deepest == len(path):
            break
        if is_header:
            names, is_array = _header(content)
            rest = path[len(names) :] if path[: len(names)] == names else ()
            if rest and is_array:
                break  # no path of names leads into an array of tables
    return deepest_line


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The headers, assignments and blank lines of a valid TOML text, each with the number of its first line."""
    line, start, depth = 1, 0, 0
    for token in TOKEN.finditer(text + "\n"):
        depth += (token[0] in ("[", "{")) - (token[0] in ("]", "}"))
        if token[0] == "\n" and depth == 0:
            statement = text[start : token.end()]
            yield line, statement
            line += statement.count("\n")
            start = token.end()


def _depth(table: Any, path: tuple[str, ...]) -> int:
    """How many names of a path lead on from a table, one after the other."""
    depth = 0
    while depth < len(path) and isinstance(table, dict) and path[depth] in table:
        table = table[path[depth]]
        depth += 1
    return depth


def _header(content: Any) -> tuple[tuple[str, ...], bool]:
    """The names in a parsed header, and whether it is that of an array of tables."""
    names = []
    while isinstance(content, dict) and content:
        [(name, content)] = content.items()
        names.append(name)
    return tuple(names), isinstance(content, list)
