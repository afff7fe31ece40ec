"""Classes in users' files, named FILE.py:NAME: import, pickling, and comparison with the files of a run."""

from __future__ import annotations

import copyreg
import hashlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ConfigError, shown
from ..failures import attempt, reason
from .user_imports import module_name, sources, text_of

SUFFIX = ".py"
SOURCE = "__nas_source__"
"""Attribute of a module beside a user's file: the digest of the text that it was imported from."""
MODULE_PREFIX = "nas_own_"
"""Prefix of the names of the modules that users' files are imported as."""


def is_user_class_name(name: str) -> bool:
    """Whether a component's name has the form FILE.py:NAME."""
    file, _, attribute = name.rpartition(":")
    return file.endswith(SUFFIX) and bool(attribute)


def absolute(name: str) -> str:
    """The name with the file's absolute path, so that it means the same in every folder; other names unchanged."""
    file, _, attribute = name.rpartition(":")
    return f"{Path(file).absolute()}:{attribute}" if is_user_class_name(name) else name


def shortened(value: Any) -> Any:
    """A JSON value for display: names FILE.py:NAME, absolute paths, and those after a prefix, as in table:FILE, without
    their folders."""
    if isinstance(value, dict):
        return {key: shortened(inner) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    prefix, colon, rest = value.partition(":")
    if is_user_class_name(value) or Path(value).is_absolute():
        return Path(value).name
    return f"{prefix}:{Path(rest).name}" if colon and Path(rest).is_absolute() else value


def name_of(cls: type[Any]) -> str:
    """The name FILE.py:NAME of a class.

    Raises:
        ConfigError: The class is not at the top level of a file, as in an interpreter.
    """
    try:
        file = inspect.getsourcefile(cls)
    except (TypeError, OSError):  # a built-in class; a module without a file
        file = None
    name = f"{Path(file or '').absolute()}:{cls.__name__}"
    if not is_user_class_name(name) or getattr(sys.modules[cls.__module__], cls.__name__, None) is not cls:
        raise ConfigError(f"{cls!r} is not at the top of a .py file; workers and a resume could not find it again")
    return name


def find(name: str) -> type[Any]:
    """The class NAME of FILE.py. Its instances can be pickled, for worker processes.

    The file is executed once: naming it is the user's consent. Its folder joins the end of the import path, so that it
    may import modules beside it.

    Raises:
        ConfigError: The file cannot be read or imported, or has no such class.
    """
    file, _, attribute = name.rpartition(":")
    path = Path(file).absolute()
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = _module(path)
    cls: Any = getattr(module, attribute, None)
    if not isinstance(cls, type):
        raise ConfigError(f"{file} has no class {attribute!r}; {_classes(module)}")
    if cls.__module__ == module.__name__:
        copyreg.pickle(cls, _reduced)
    return cls


def check(cls: type[Any], name: str, kind: str, methods: Iterable[str]) -> None:
    """Checks that a user's class has the methods of its kind.

    Args:
        cls: The class.
        name: Its name FILE.py:NAME, for the message.
        kind: Name of the kind in the message, such as 'search space'.
        methods: Names of the methods.

    Raises:
        ConfigError: A method is missing.
    """
    for method in methods:
        if not callable(getattr(cls, method, None)):
            file, _, attribute = name.rpartition(":")
            raise ConfigError(f"{attribute} of {file} is no {kind}: it has no method {method!r}")


def is_user_class(cls: type[Any]) -> bool:
    """Whether a class was defined in a user's file that `find` imported."""
    return cls.__module__.startswith(MODULE_PREFIX)


def texts(names: Iterable[str]) -> dict[str, str]:
    """The texts of the files that a run depends on, by path: those in names of the form FILE.py:NAME, and what these
    import from beside them. Raises ConfigError where one cannot be read."""
    paths = dict.fromkeys(Path(name.rpartition(":")[0]).absolute() for name in names if is_user_class_name(name))
    return {str(file): text for path in paths for file, text in sources(path).items()}


def digests(files: Mapping[str, str]) -> dict[str, str]:
    """The SHA-256 of each text, by path."""
    return {path: _digest(text) for path, text in files.items()}


def check_unchanged(files: Mapping[str, str], now: Mapping[str, str] | None = None) -> None:
    """Checks that a run's files are those that it was started with.

    Args:
        files: The texts at the start of the run, by path.
        now: The texts that the run depends on now; a new file can change what the others import.

    Raises:
        ConfigError: A file has changed (the message has the first line that differs), is gone, or is new.
    """
    for path, before in files.items():
        text = text_of(Path(path), " with which this run was started; put it back")
        if text != before:
            raise ConfigError(
                f"{path} has changed since this run was started: {_difference(before, text)}; results of two versions "
                "cannot be mixed: restore the file, or start a new run"
            )
    for path in now or ():
        if path not in files:
            raise ConfigError(
                f"{path} was not there when this run was started, and is imported now; results of two versions cannot "
                "be mixed: move the file away, or start a new run"
            )


def _module(path: Path) -> ModuleType:
    """The file as a module, whose name changes with its text and with the texts that it imports from beside it."""
    files = sources(path)
    identity = json.dumps([(str(file), text) for file, text in files.items()])
    name = f"{MODULE_PREFIX}{_digest(identity)[:16]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    beside = {module_name(file, path.parent): file for file in files if file != path}
    _forget_changed(beside, files)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickle look for the module of a class
    executed = attempt(spec.loader.exec_module, module)
    if executed.error is not None:
        del sys.modules[name]
        raise ConfigError(f"{path} cannot be imported: {reason(executed.error)}")
    for dotted, file in beside.items():
        if dotted in sys.modules:
            vars(sys.modules[dotted]).setdefault(SOURCE, _digest(files[file]))
    return module


def _forget_changed(beside: Mapping[str, Path], files: Mapping[Path, str]) -> None:
    """Unloads the modules beside a file where one of them has changed since its import, as in a notebook.

    Raises ConfigError where a file of another folder, with another text, has been imported under the same name."""
    loaded = {dotted: sys.modules[dotted] for dotted in beside if dotted in sys.modules}
    changed = False
    for dotted, module in loaded.items():
        file = beside[dotted]
        other = Path(getattr(module, "__file__", None) or file)
        if other != file and _text_or_none(other) != files[file]:
            raise ConfigError(f"{file} cannot be imported: {other} has been imported as {dotted!r} before; rename one")
        digest = _digest(files[file])
        changed = changed or vars(module).get(SOURCE, digest) != digest
    for dotted in loaded if changed else ():
        del sys.modules[dotted]


def _text_or_none(path: Path) -> str | None:
    try:
        return text_of(path)
    except ConfigError:
        return None


def _reduced(value: Any) -> Any:
    """The pickled form of an instance: that of any other, but with the class by its name FILE.py:NAME."""
    constructor, arguments, *state = value.__reduce_ex__(2)
    if constructor is not copyreg.__newobj__:  # type: ignore[attr-defined]  # it is not in typeshed
        return constructor, arguments, *state
    cls, *rest = arguments
    path = Path(sys.modules[cls.__module__].__file__ or "")
    return _new_instance, (f"{path}:{cls.__qualname__}", cls.__module__, tuple(rest)), *state


def _new_instance(name: str, module: str, arguments: tuple[Any, ...]) -> Any:
    """An instance without its state, in the process that unpickles."""
    cls = find(name)
    if cls.__module__ != module:
        raise ConfigError(f"{name.rpartition(':')[0]} has changed while the run goes on; restore it, and resume")
    return cls.__new__(cls, *arguments)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _classes(module: ModuleType) -> str:
    classes = [
        name for name, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__
    ]
    return f"it has {', '.join(classes)}" if classes else "it has none"


def _difference(before: str, now: str) -> str:
    """The first line that differs, in both versions."""
    pairs = zip_longest(before.splitlines(), now.splitlines(), fillvalue="")
    for number, (old, new) in enumerate(pairs, start=1):
        if old != new:
            first = next(i for i in range(len(old) + 1) if old[: i + 1] != new[: i + 1])
            start = max(0, first - 30) if max(len(old), len(new)) > 75 else 0
            return f"line {number} was {_quoted(old, start)} and is {_quoted(new, start)}"
    return "the ends of its lines differ"


def _quoted(line: str, start: int) -> str:
    """A line as a message quotes it, from a letter on."""
    return shown(f"…{line[start:]}" if start else line.strip())
