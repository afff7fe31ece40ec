"""What is asked of a controller before a search begins: that it proposes, and the same in every process, also when it
is told of scores."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from .. import failures
from ..architecture import Architecture
from ..errors import ConfigError, SearchError
from ..failures import attempt
from ..protocols import SearchSpace
from ..registry import builtin, components
from ..search.checked_controller import CheckedController
from ..trial import Score, Trial
from .time_limit import TimeUp, time_limit

FIRST, LATER = 5, 20
"""Proposals that are compared: before anything is told and, where a controller is not built in, as scores are told."""
COSTS = ("parameters", "flops", "latency_ms", "seconds")
ASK_S = 60.0
"""The longest that they may take: many thousand times the usual."""


def rehearse(name: str, options: Mapping[str, Any], space: SearchSpace, **given: Any) -> list[Architecture]:
    """The first proposals of a fresh controller. Raises NasError where there are none to be had."""
    controller = components.create("controller", name, options, space=space, **given)
    held = CheckedController(controller, space)
    try:
        with time_limit(ASK_S):
            found = held.ask(FIRST)
            if name not in builtin.BUILT_IN["controller"]:
                _, error = attempt(_later, held, found)
                # A person's own may want to be told more than is made up here: a search will say what is wrong.
                if error is not None and name.partition(":")[0] in builtin.PREFIXES["controller"]:
                    raise error
            return found
    except TimeUp as up:
        place = failures.place(type(controller), "ask", up)
        raise SearchError(
            f"controller {type(controller).__name__}: ask has not ended after {ASK_S:g} s ({place}); does a loop end?"
        ) from None


def _later(controller: CheckedController, found: list[Architecture]) -> None:
    """Adds to `found` what it proposes as it is told made-up scores of its proposals. Raises what it does."""
    rng, told = random.Random(0), list(found)
    for number in range(LATER):
        for architecture in told:
            score = Score(rng.random(), 0.01, metrics={cost: rng.random() for cost in COSTS})
            trial = Trial(number, architecture, budget=1, seed=0, state="done", score=score, seconds=1.0)
            controller.tell([trial])
        told = controller.ask(1)
        found += told


def check_controller(
    name: str, options: Mapping[str, Any], executor: Executor, *, space: SearchSpace, **given: Any
) -> None:
    """What a search asks of its controller before it begins: that it proposes, and the same in another process.

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
        made: Any = components.find("controller", name)
        raise ConfigError(
            f"controller {Path(name).name} with the same seed proposes something else each time, so that its run could "
            f"not be resumed ({failures.place(made, 'ask')}); draw from "
            "random.Random(f'{seed}/{number}'), and sort what comes from a set"
        )
