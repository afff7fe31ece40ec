"""Pre-flight check that a controller makes proposals, and makes the same ones in every process."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import failures
from ..architecture import Architecture
from ..errors import ConfigError, SearchError
from ..failures import attempt
from ..protocols.executors import Submits
from ..protocols.spaces import SearchSpace
from ..registry import builtin, components
from ..search.checked_controller import CheckedController
from ..trial import Score, Trial
from .time_limit import TimeUp, time_limit

FIRST, LATER = 5, 20
"""Proposals that are compared: before any score is told, and after each of some made-up scores. The latter only for
controllers that are not built in."""
COSTS = ("parameters", "flops", "latency_ms", "seconds")
"""Metrics of the made-up scores."""
ASK_S = 60.0
"""Time limit of all these proposals, in seconds: many thousand times what they usually take."""


def first_proposals(name: str, options: Mapping[str, Any], space: SearchSpace, **arguments: Any) -> list[Architecture]:
    """The first proposals of a fresh controller.

    Args:
        name: Name of the controller in the registry, or FILE.py:NAME.
        options: Options of the controller.
        space: Search space of the proposals.
        arguments: What a search gives the controller beside the space: its seed, and features of architectures.

    Returns:
        FIRST proposals; of a controller that is not built in also LATER ones, made after scores were told.

    Raises:
        NasError: The controller raises an error, breaks its contract, or does not end within ASK_S.
    """
    controller = components.create("controller", name, options, space=space, **arguments)
    checked = CheckedController(controller, space)
    try:
        with time_limit(ASK_S):
            proposals = checked.ask(FIRST)
            if name not in builtin.BUILT_IN["controller"]:
                error = attempt(_continue, checked, proposals).error
                # A user's own controller may need more than these made-up scores have: then the search reports it.
                if error is not None and name.partition(":")[0] in builtin.PREFIXES["controller"]:
                    raise error
            return proposals
    except TimeUp as timeout:
        place = failures.place(type(controller), "ask", timeout)
        raise SearchError(
            f"controller {type(controller).__name__}: ask has not ended after {ASK_S:g} s ({place}); does a loop end?"
        ) from None


def _continue(controller: CheckedController, proposals: list[Architecture]) -> None:
    """Tells made-up scores of the proposals, and adds to them what the controller proposes next."""
    rng, untold = random.Random(0), list(proposals)
    for number in range(LATER):
        for architecture in untold:
            score = Score(rng.random(), 0.01, metrics={cost: rng.random() for cost in COSTS})
            trial = Trial(number, architecture, budget=1, seed=0, state="done", score=score, seconds=1.0)
            controller.tell([trial])
        untold = controller.ask(1)
        proposals += untold


def check_determinism(
    name: str, options: Mapping[str, Any], executor: Submits, *, space: SearchSpace, **arguments: Any
) -> None:
    """Checks that a controller proposes the same architectures in this process and in a worker.

    A run whose controller does not could not be resumed.

    Args:
        name: As for `first_proposals`, like `options`, `space` and the other arguments.
        options: The controller's options.
        space: The space that it proposes from.
        **arguments: What the program gives the controller besides.
        executor: Runs one of the two controllers, in a process of its own.

    Raises:
        ConfigError: The proposals differ, or the controller breaks its contract.
        NasError: The controller raises an error.
    """
    try:
        in_worker = executor.submit(first_proposals, name, options, space, **arguments).result()
        here = first_proposals(name, options, space, **arguments)
    except SearchError as error:
        raise ConfigError(str(error)) from error
    if here != in_worker:
        controller_class: Any = components.find("controller", name)
        raise ConfigError(
            f"controller {Path(name).name} with the same seed proposes something else each time, so that its run could "
            f"not be resumed ({failures.place(controller_class, 'ask')}); draw from "
            "random.Random(f'{seed}/{number}'), and sort what comes from a set"
        )
