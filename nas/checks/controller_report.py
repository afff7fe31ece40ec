"""Conformance report of a controller for `nas check`: the laws of controllers on small and huge toy spaces."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from .. import failures
from ..errors import NasError, SearchError
from ..executors.process_executor import ProcessExecutor
from ..failures import attempt, reason
from ..protocols.controllers import Controller
from ..protocols.spaces import SearchSpace
from ..registry import components, user_files
from ..search.checked_controller import CheckedController
from ..testing.controllers import check_controller
from ..testing.toy_spaces import Ten, Vast
from ..trial import Score, Trial
from .controller import check_determinism

CANDIDATES = 30
"""Proposals of each search that checks a law."""
TIMED = 100
"""Proposals that the time of a proposal is averaged over."""
LIMIT_S = 1800.0
"""Time limit of the whole check, in seconds."""


@dataclass(frozen=True)
class Verdict:
    """Properties of a sound controller.

    Attributes:
        name: Name of the controller, or FILE.py:NAME.
        duplicates: How it proposes duplicates or ends early; "" if it proposes every architecture exactly once.
        seeded: Whether another seed gives other proposals.
        proposal_s: Mean time of one `ask` and one `tell`, in seconds.
    """

    name: str
    duplicates: str
    seeded: bool
    proposal_s: float

    def __str__(self) -> str:
        lines = [
            f"{self.name}: sound. Asked all at once or one by one, told early, late or not at all, broken off and "
            "resumed, it proposes the same; failed trials and scores that are not finite move nothing.",
            f"time           ask and tell {self.proposal_s * 1e3:.3g} ms a candidate, over {TIMED}",
        ]
        if self.duplicates:
            lines.append(
                f"Consider: it may repeat itself or end early: {self.duplicates}. A duplicate is not evaluated, and "
                "200 in a row end a search; draw again what was proposed, and give fewer only when nothing is left"
            )
        if not self.seeded:
            lines.append("Consider: the seed changes nothing, so that the seeds of a comparison are one and the same")
        return "\n".join(lines)


def check(target: str) -> str:
    """The verdict on a controller, as text.

    Args:
        target: Name of the controller in the registry, or FILE.py:NAME.

    Raises:
        Unsound: The controller breaks a law; the message names the law and the line at fault.
        ConfigError: There is no such controller.
    """
    controller_class = type(components.create("controller", target, {}, space=Ten(), seed=0))
    # The worker protects this process from a controller that ends its own.
    with ProcessExecutor(1, deadline_s=LIMIT_S) as executor:
        determinism = attempt(check_determinism, target, {}, executor, space=Vast(), seed=0)
        outcome = attempt(executor.submit(examine, target).result) if determinism.error is None else determinism
    if outcome.error is not None:
        error = outcome.error
        text = str(error) if isinstance(error, NasError) else reason(error)
        needs_place = ".py:" not in text and user_files.is_user_class(controller_class)
        place = f" ({failures.place(controller_class, 'ask')})" if needs_place else ""
        text = text.removeprefix(f"controller {controller_class.__name__}: ")
        raise Unsound(f"controller {Path(target).name} is not sound: {text}{place}")
    return str(replace(outcome.value, name=Path(target).name))


class Unsound(SearchError):
    """The controller breaks a law."""

    exit_status = 2


def examine(target: str) -> Verdict:
    """The verdict on a sound controller, found in this process.

    Args:
        target: Name of the controller in the registry, or FILE.py:NAME.

    Raises:
        AssertionError: The controller breaks a law.
        NasError: The controller breaks its contract, or raises an error.
    """

    def make(space: SearchSpace, *, seed: int) -> Controller:
        return CheckedController(components.create("controller", target, {}, space=space, seed=seed), space)

    check_controller(make, candidates=CANDIDATES)
    duplicates = ""
    try:
        check_controller(make, candidates=CANDIDATES, repeats=False)
    except AssertionError as error:
        duplicates = str(error)
    seeded = make(Vast(), seed=0).ask(CANDIDATES) != make(Vast(), seed=1).ask(CANDIDATES)
    return Verdict(target, duplicates, seeded, _mean_seconds(make(Vast(), seed=0)))


def _mean_seconds(controller: Controller) -> float:
    started = time.perf_counter()
    for number in range(TIMED):
        for architecture in controller.ask(1):
            score = Score(sum(architecture.picks.values()) / 400, stderr=0.0)
            controller.tell([Trial(number, architecture, budget=1, seed=0, state="done", score=score)])
    return (time.perf_counter() - started) / TIMED
