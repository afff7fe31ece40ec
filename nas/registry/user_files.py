"""A person's own search space or controller, from a file that they name: FILE.py:NAME."""

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
"""The attribute of a module beside a person's file that holds the digest of the text that it was imported from."""
MODULES = "nas_own_"
"""What the names of the modules begin with that a person's files become."""


def is_own(name: str) -> bool:
    """Whether a component's name is of the form FILE.py:NAME."""
    file, _, attribute = name.rpartition(":")
    return file.endswith(SUFFIX) and bool(attribute)


def absolute(name: str) -> str:
    """The name with the file's absolute path, so that it means the same in every folder; other names as they are."""
    file, _, attribute = name.rpartition(":")
    return f"{Path(file).absolute()}:{attribute}" if is_own(name) else name


def shortened(value: Any) -> Any:
    """A JSON value with the names FILE.py:NAME and the absolute paths in it less the folders, as a person is shown
    them; so too where such a path stands after a prefix, as in table:FILE."""
    if isinstance(value, dict):
        return {key: shortened(inner) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    prefix, colon, rest = value.partition(":")
    if is_own(value) or Path(value).is_absolute():
        return Path(value).name
    return f"{prefix}:{Path(rest).name}" if colon and Path(rest).is_absolute() else value


def name_of(cls: type[Any]) -> str:
    """The name FILE.py:NAME of a class. Raises ConfigError for one that no file holds, as in an interpreter."""
    file, error = attempt(inspect.getsourcefile, cls)
    name = f"{Path(file or '').absolute()}:{cls.__name__}"
    if error is not None or not is_own(name) or getattr(sys.modules[cls.__module__], cls.__name__, None) is not cls:
        raise ConfigError(f"{cls!r} is not at the top of a .py file; workers and a resume could not find it again")
    return name


def find(name: str) -> type[Any]:
    """The class NAME of FILE.py, which is run once: it is the person's own. Its instances travel to worker processes.

    The file's folder joins the end of the import path, so that it may import modules beside it. Raises ConfigError.
    """
    file, _, attribute = name.rpartition(":")
    path = Path(file).absolute()
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = _module(path)
    found: Any = getattr(module, attribute, None)
    if not isinstance(found, type):
        raise ConfigError(f"{file} has no class {attribute!r}; {_classes(module)}")
    if found.__module__ == module.__name__:
        copyreg.pickle(found, _reduced)
    return found


def check(cls: type[Any], name: str, kind: str, methods: Iterable[str]) -> None:
    """Raises ConfigError where a class, found by its name, lacks a method of its kind."""
    for method in methods:
        if not callable(getattr(cls, method, None)):
            file, _, attribute = name.rpartition(":")
            raise ConfigError(f"{attribute} of {file} is no {kind}: it has no method {method!r}")


def is_found(cls: type[Any]) -> bool:
    """Whether a class is one that `find` gave: another process finds it by its name alone."""
    return cls.__module__.startswith(MODULES)


def texts(names: Iterable[str]) -> dict[str, str]:
    """The files behind the names of the form FILE.py:NAME, and what these import from beside them, by path: what a run
    depends on. Raises ConfigError."""
    paths = dict.fromkeys(Path(name.rpartition(":")[0]).absolute() for name in names if is_own(name))
    return {str(file): text for path in paths for file, text in sources(path).items()}


def digests(files: Mapping[str, str]) -> dict[str, str]:
    """The SHA-256 of each text."""
    return {path: _digest(text) for path, text in files.items()}


def check_unchanged(files: Mapping[str, str], now: Mapping[str, str] | None = None) -> None:
    """Raises ConfigError, with the first line that differs, where a file is not what it was.

    `now` are the files that the run depends on now: one that was not there before can change what others import."""
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


def check_digests(files: Mapping[str, str]) -> None:
    """Raises ConfigError where a file is not the one of a digest that `digests` gave."""
    for path, digest in files.items():
        if _digest(text_of(Path(path), " that holds the network's space; put it back")) != digest:
            raise ConfigError(f"{path} has changed since the network was exported; restore it, or export again")


def _module(path: Path) -> ModuleType:
    """The file as a module, under a name that no other module has and that changes with its text, and with the texts of
    what it imports from beside it."""
    files = sources(path)
    identity = json.dumps([(str(file), text) for file, text in files.items()])
    name = f"{MODULES}{_digest(identity)[:16]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    beside = {module_name(file, path.parent): file for file in files if file != path}
    _forget_changed(beside, files)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there, and pickle does
    _, error = attempt(spec.loader.exec_module, module)
    if error is not None:
        del sys.modules[name]
        raise ConfigError(f"{path} cannot be imported: {reason(error)}")
    for dotted, file in beside.items():
        if dotted in sys.modules:
            vars(sys.modules[dotted]).setdefault(SOURCE, _digest(files[file]))
    return module


def _forget_changed(beside: Mapping[str, Path], files: Mapping[Path, str]) -> None:
    """Has the modules beside a file imported anew where one of them has changed since, as in a notebook.

    Raises ConfigError where the file of another folder, with another text, has been imported under the same name."""
    loaded = {dotted: sys.modules[dotted] for dotted in beside if dotted in sys.modules}
    changed = False
    for dotted, module in loaded.items():
        file = beside[dotted]
        other = Path(getattr(module, "__file__", None) or file)
        if other != file and attempt(text_of, other).value != files[file]:
            raise ConfigError(f"{file} cannot be imported: {other} has been imported as {dotted!r} before; rename one")
        digest = _digest(files[file])
        changed = changed or vars(module).get(SOURCE, digest) != digest
    for dotted in loaded if changed else ():
        del sys.modules[dotted]


def _reduced(value: Any) -> Any:
    """How pickle takes an instance: as any other, but for the class, which the file at the other end gives."""
    made, arguments, *state = value.__reduce_ex__(2)
    if made is not copyreg.__newobj__:  # type: ignore[attr-defined]  # it is not in typeshed
        return made, arguments, *state
    cls, *rest = arguments
    path = Path(sys.modules[cls.__module__].__file__ or "")
    return _empty, (f"{path}:{cls.__qualname__}", cls.__module__, tuple(rest)), *state


def _empty(name: str, module: str, arguments: tuple[Any, ...]) -> Any:
    cls = find(name)
    if cls.__module__ != module:
        raise ConfigError(f"{name.rpartition(':')[0]} has changed while the run goes on; restore it, and resume")
    return cls.__new__(cls, *arguments)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _classes(module: ModuleType) -> str:
    own = [
        name for name, value in vars(module).items() if isinstance(value, type) and value.__module__ == module.__name__
    ]
    return f"it has {', '.join(own)}" if own else "it has none"


def _difference(before: str, now: str) -> str:
    pairs = zip_longest(before.splitlines(), now.splitlines(), fillvalue="")
    for number, (old, new) in enumerate(pairs, start=1):
        if old != new:
            same = next(i for i in range(len(old) + 1) if old[: i + 1] != new[: i + 1])
            start = max(0, same - 30) if max(len(old), len(new)) > 75 else 0
            return f"line {number} was {_from(start, old)} and is {_from(start, new)}"
    return "the ends of its lines differ"


def _from(start: int, line: str) -> str:
    """A line as a message quotes it, from a place on."""
    return shown(f"…{line[start:]}" if start else line.strip())
