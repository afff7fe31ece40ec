"""Static analysis of the source files that a user's file imports from beside it."""

from __future__ import annotations

import ast
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

from ..errors import ConfigError, DataError
from ..regular_files import MIB, read_bytes

PACKAGE = "__init__.py"
MOST_BYTES = 16 * MIB
"""Maximum size of a source file."""


def sources(path: Path) -> dict[Path, str]:
    """The text of a Python file and of each file under its folder that it imports, directly or through others.

    Imports within functions are included. A module is included where its name leads to a file under the folder of
    `path`, unless the standard library, an installed package or adaptnas itself has a module of that name, which Python
    then imports. Imports by a computed name are not found.

    Args:
        path: The absolute path of a Python file.

    Returns:
        Texts by absolute path, that of `path` first.

    Raises:
        ConfigError: Where a file cannot be read.
    """
    texts: dict[Path, str] = {}
    unread = [path]
    while unread:
        file = unread.pop()
        if file not in texts:
            texts[file] = text_of(file)
            unread += _imported(texts[file], file, path.parent)
    first = texts.pop(path)
    return {path: first, **dict(sorted(texts.items()))}


def module_name(file: Path, root: Path) -> str:
    """The dotted name by which a file under a folder of the import path is imported."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if file.name == PACKAGE else parts)


def text_of(path: Path, what: str = "") -> str:
    """The text of a file. Raises ConfigError, with `what` the file is for, where it cannot be read."""
    if not os.path.lexists(path):
        raise ConfigError(f"there is no file {str(path)!r}{what}")
    try:
        return read_bytes(path, MOST_BYTES).decode("utf-8")
    except (DataError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None


def _imported(text: str, file: Path, root: Path) -> list[Path]:
    return [
        imported
        for level, name in _import_statements(text)
        for imported in _files_of(name, root if level == 0 else _above(file, level), relative=level > 0)
        if imported.is_relative_to(root)
    ]


@lru_cache(maxsize=256)
def _import_statements(text: str) -> tuple[tuple[int, str], ...]:
    """The imports in a source text: the number of leading dots, and a dotted name. `from a import b` imports `a` and,
    in case that is a module, `a.b`. A text that is no Python imports nothing; executing it will say why."""
    try:
        tree = ast.parse(text.removeprefix("\ufeff"))  # the byte order mark that some editors write
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(dict.fromkeys(_named(tree)))


def _named(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            yield node.level, ".".join(base)
            yield from ((node.level, ".".join([*base, alias.name])) for alias in node.names)


def _above(file: Path, level: int) -> Path:
    """The folder at which a relative import with `level` dots starts."""
    return ([file.parent, *file.parent.parents] + [Path("/")] * level)[level - 1]


def _files_of(name: str, folder: Path, *, relative: bool) -> Iterator[Path]:
    """The files of a module and of the packages around it."""
    parts = [part for part in name.split(".") if part]
    if not relative and (not parts or _is_elsewhere(parts[0])):
        return
    if relative and (folder / PACKAGE).is_file():
        yield folder / PACKAGE
    for part in parts:
        if (folder / part / PACKAGE).is_file():
            yield folder / part / PACKAGE
        elif (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        folder = folder / part


@lru_cache(maxsize=1024)
def _is_elsewhere(name: str) -> bool:
    """Whether the standard library, an installed package or adaptnas has a top-level module of this name. These come
    before the folder of a user's file, which is at the end of the import path."""
    if name in sys.stdlib_module_names or name == __name__.partition(".")[0]:
        return True
    paths = sysconfig.get_paths()
    folders = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    spec = PathFinder.find_spec(name, [*folders, *site.getsitepackages(), site.getusersitepackages()])
    return spec is not None and spec.origin is not None  # a folder without __init__.py gives way to any module
