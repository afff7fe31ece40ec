"""What is asked of a controller before a search begins: that it proposes, and the same in every process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from . import own, registry
from .architecture import Architecture
from .conformance import TimeUp, time_limit
from .errors import ConfigError, SearchError
from .executors.attempt import attempt
from .proposals import Held
from .protocols import SearchSpace

FIRST = 5
"""Proposals that are compared."""
ASK_S = 60.0
"""The longest that they may take: many thousand times the usual."""


def rehearse(name: str, options: Mapping[str, Any], space: SearchSpace, **given: Any) -> list[Architecture]:
    """The first proposals of a fresh controller. Raises NasError where there are none to be had."""
    controller = registry.create("controller", name, options, space=space, **given)
    try:
        with time_limit(ASK_S):
            return Held(controller, space).ask(FIRST)
    except TimeUp as up:
        place = own.place(type(controller), "ask", up)
        raise SearchError(
            f"controller {type(controller).__name__}: ask({FIRST}) has not ended after {ASK_S:g} s "
            f"({place}); does a loop end?"
        ) from None


def check_controller(
    name: str, options: Mapping[str, Any], executor: Executor, *, space: SearchSpace, **given: Any
) -> None:
    """What a search asks of its controller before it begins: that it proposes, in a worker as here, and the same.

    `given` is what the search gives it beside the space: its seed, and features. Raises ConfigError where the two
    differ, for the run could not be resumed.
    """
    proposing: Callable[..., Any] = executor.submit(rehearse, name, options, space, **given).result
    elsewhere, error = attempt(proposing)
    if error is None:
        here, error = attempt(lambda: rehearse(name, options, space, **given))
    if isinstance(error, SearchError):
        raise ConfigError(str(error)) from error
    if error is not None:
        raise error
    if here != elsewhere:
        made: Any = registry.find("controller", name)
        raise ConfigError(
            f"controller {Path(name).name} with the same seed proposes something else each time, so that its run could "
            f"not be resumed ({own.place(made, 'ask')}); draw from "
            "random.Random(f'{seed}/{number}'), and sort what comes from a set"
        )
