"""The config in an export's recipe. An export may be a stranger's: no file of code that it names is executed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.reading import from_json
from ..config.schema import Config
from ..errors import ConfigError, DataError
from ..export.reading import Exported
from ..registry import user_files

WITHOUT_USE = ("controller", "compare", "search")
"""Tables that say nothing about a network; a controller in a user's file is not needed again."""


def config_of(exported: Exported, sources: Sequence[Path] = ()) -> Config:
    """The config that an exported network was found with, as far as it is needed to adapt the network.

    Args:
        exported: The export.
        sources: Python files that the user names, which is the consent to execute them. A class FILE.py:NAME of the
            recipe is looked for in the one of these with that file's name.

    Raises:
        DataError: The recipe needs a class of a file that is not among them, or of one that has changed.
        KeyFault: The recipe is no config.
    """
    config = exported.recipe.get("config")
    if not isinstance(config, Mapping):
        return from_json(config)
    used: list[Path] = []
    by_name = {path.name: path.absolute() for path in sources}
    needed = {key: value for key, value in config.items() if key not in WITHOUT_USE}
    trusted = _trusted(needed, by_name, used, exported)
    _check_unchanged(dict.fromkeys(used), exported)
    return from_json(trusted)


def _trusted(value: Any, by_name: Mapping[str, Path], used: list[Path], exported: Exported) -> Any:
    """The value with the user's own paths in names FILE.py:NAME, and nothing to be downloaded."""
    if isinstance(value, Mapping):
        entries = {key: _trusted(inner, by_name, used, exported) for key, inner in value.items()}
        return {**entries, "download": False} if entries.get("download") is True else entries
    if isinstance(value, list):
        return [_trusted(inner, by_name, used, exported) for inner in value]
    if not isinstance(value, str) or not user_files.is_user_class_name(value):
        return value
    file, _, attribute = value.rpartition(":")
    name = Path(file).name
    if name not in by_name:
        raise DataError(
            f"{exported.weights.parent} needs class {attribute!r} of a file {name}. Code that an export names is not "
            f"executed unasked: if you know the file and trust it, name it with --source {name}"
        )
    used.append(by_name[name])
    return f"{by_name[name]}:{attribute}"


def _check_unchanged(files: Iterable[Path], exported: Exported) -> None:
    """Raises DataError where a named file, or one that it imports from beside it, is not as it was for the export."""
    recorded = exported.recipe.get("files", {})
    digests = recorded if isinstance(recorded, Mapping) else {}
    by_name: dict[str, set[str]] = {}
    for path, digest in digests.items():
        by_name.setdefault(Path(str(path)).name, set()).add(str(digest))
    for file in files:
        try:
            now = user_files.digests(user_files.texts([f"{file}:_"]))
        except ConfigError as error:
            raise DataError(f"{error}; name the file that the network was exported with") from None
        for path, digest in now.items():
            if digests and digest not in by_name.get(Path(path).name, ()):
                raise DataError(f"{path} has changed since the network was exported; restore it, or export again")
