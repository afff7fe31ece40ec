"""A call that is made on another machine, with the files that it reads and writes."""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ConfigError, WorkerError
from ..failures import attempt, reason
from .carried_files import Pickler, dumps, loads
from .retried_call import RetriedCall, both_calls


@dataclass(frozen=True)
class RemoteCall:
    """A call as it travels.

    Attributes:
        fn: The pickled function.
        smaller: The pickled function that is called instead where memory runs out; None for none.
        arguments: The pickled (args, kwargs), without the files.
        files: Content and name of the files that are keyword arguments, by keyword; None for one that is not there yet.
    """

    fn: bytes
    smaller: bytes | None
    arguments: bytes
    files: Mapping[str, tuple[str, bytes | None]]


@dataclass(frozen=True)
class RemoteResult:
    """Result of a call as it travels.

    Attributes:
        value: What the call returned.
        files: Content of the files that it wrote, by keyword, each with its SHA-256.
    """

    value: Any
    files: Mapping[str, tuple[bytes, str]]


def remote_call(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    roots: Iterable[Path],
    pickler: Pickler = pickle.Pickler,
) -> RemoteCall:
    """A call for another machine. Keyword arguments that are paths are files, whose content goes with it.

    Args:
        fn: The function, or a `RetriedCall` of two.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        roots: Roots of the trees that the other machine has been given.
        pickler: Class that pickles function and arguments.

    Raises:
        ConfigError: The call cannot be pickled.
    """
    roots = list(roots)
    files = {name: value for name, value in kwargs.items() if isinstance(value, Path)}
    others = {name: value for name, value in kwargs.items() if name not in files}
    first, second = both_calls(fn)
    pickled = attempt(lambda: [dumps(value, roots, pickler) for value in (first, second, (args, others))])
    if pickled.error is not None:
        raise ConfigError(
            f"{first!r} cannot be sent to another machine ({reason(pickled.error)}); define it at the top of a module"
        ) from pickled.error
    first_pickle, second_pickle, arguments = pickled.value
    content = {name: (path.name, path.read_bytes() if path.is_file() else None) for name, path in files.items()}
    return RemoteCall(first_pickle, None if second is None else second_pickle, arguments, content)


_functions: dict[bytes, Callable[..., Any]] = {}
"""The function of the last call, with all that it caches, by its pickle."""


def perform_in(executor: Executor, call: RemoteCall, places: Mapping[str, str]) -> Future[RemoteResult]:
    """Makes a call in an executor of worker processes, once more with less memory where it runs out.

    Args:
        executor: The executor.
        call: The call.
        places: Present path of each root of the trees.
    """
    first = partial(perform, call, places)
    smaller = None if call.smaller is None else partial(perform, replace(call, fn=call.smaller), places)
    return executor.submit(RetriedCall(first, smaller))


def perform(call: RemoteCall, places: Mapping[str, str]) -> RemoteResult:
    """Makes a call here, in a worker process of the other machine.

    Args:
        call: The call.
        places: Present path of each root of the trees.

    Raises:
        BaseException: Whatever the function raises.
    """
    fn = _functions.get(call.fn)
    if fn is None:
        _functions.clear()
        fn = _functions[call.fn] = loads(call.fn, places)
    args, kwargs = loads(call.arguments, places)
    with tempfile.TemporaryDirectory(prefix="adaptnas-") as folder:
        paths = {keyword: Path(folder) / keyword / name for keyword, (name, _) in call.files.items()}
        for keyword, path in paths.items():
            path.parent.mkdir()
            content = call.files[keyword][1]
            if content is not None:
                path.write_bytes(content)
        value = fn(*args, **kwargs, **paths)
        written = {keyword: path.read_bytes() for keyword, path in paths.items() if path.is_file()}
    return RemoteResult(value, {keyword: (data, _digest(data)) for keyword, data in written.items()})


def receive(result: RemoteResult, kwargs: Mapping[str, Any]) -> Any:
    """Writes the files of a result to where the call names them, each at once, and returns what the call returned.

    Args:
        result: The result.
        kwargs: The call's keyword arguments.

    Raises:
        WorkerError: A file was damaged on its way.
        OSError: A file cannot be written.
    """
    for keyword, (data, digest) in result.files.items():
        if _digest(data) != digest:
            raise WorkerError(f"the file {kwargs[keyword].name} came damaged from the other machine; evaluate again")
    for keyword, (data, _) in result.files.items():
        path: Path = kwargs[keyword]
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    return result.value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
