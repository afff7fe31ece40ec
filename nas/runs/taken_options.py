"""Options that the architectures of a run took, as they are shown to people and written to files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..analysis.run_summary import TakenOptions
from ..architecture import Architecture
from ..config.parts import space_of
from ..config.schema import Config, name_and_options
from ..errors import NasError
from ..failures import attempt, reason
from ..options import plain
from ..protocols.spaces import SearchSpace
from ..registry import user_files
from ..space.sampling import options_taken
from ..store.sqlite_store import Store
from .folder import config_of

LONGEST = 200
"""Characters of an option that JSON cannot hold."""


def taken(store: Store, architectures: Iterable[Architecture]) -> TakenOptions:
    """The options that architectures of a run took, for which its search space is made anew.

    Only the search space is needed: a user's controller or data may be gone. The space of a user's file is run where
    the file is the one that the run was started with.

    Args:
        store: The run's store.
        architectures: Architectures of its space.
    """
    made = attempt(_unchanged_space, store)
    if made.error is not None:
        return TakenOptions({}, _why(made.error))
    by_key: dict[str, Mapping[str, Any]] = {}
    problem = None
    for architecture in architectures:
        if architecture.key in by_key:
            continue
        found = attempt(readable_options, made.value, architecture)
        if found.error is None:
            by_key[architecture.key] = found.value
        else:
            problem = problem or _why(found.error)
    return TakenOptions(by_key, problem)


def readable_options(space: SearchSpace, architecture: Architecture) -> dict[str, Any]:
    """The options that an architecture took, by choice, as JSON values.

    Functions and classes become their names, and what JSON cannot hold becomes a text. Raises as `options_taken`.
    """
    return {choice: _json(option) for choice, option in options_taken(space, architecture).items()}


def _unchanged_space(store: Store) -> SearchSpace:
    config = config_of(store)
    files, now = store.meta.get("files", {}), user_files.texts(_names(config))
    user_files.check_unchanged({path: text for path, text in files.items() if path in now}, now)
    return space_of(config)


def _names(config: Config) -> list[str]:
    inner = config.space.architecture
    return [config.space.name, *([] if inner is None else [name_and_options(inner)[0]])]


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, NasError) else reason(error)


def _json(option: Any) -> Any:
    value = plain(option)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_json(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): _json(part) for key, part in value.items()}
    text = getattr(value, "__name__", None)
    if not isinstance(text, str):
        text = attempt(str, value).value or type(value).__name__
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
