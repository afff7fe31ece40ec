"""`nas check` of a controller: the laws over small and huge toy spaces, and a verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from .. import failures
from ..errors import NasError, SearchError
from ..executors.process_executor import ProcessExecutor
from ..failures import attempt, reason
from ..protocols import Controller, SearchSpace
from ..registry import components, user_files
from ..search.checked_controller import CheckedController
from ..testing.controllers import check_controller
from ..testing.toy_spaces import Ten, Vast
from ..trial import Score, Trial
from .controller import check_controller as check_first

CANDIDATES = 30
TIMED = 100
LIMIT_S = 1800.0


@dataclass(frozen=True)
class Verdict:
    """What the laws found in a sound controller.

    repeats   how it repeats itself or ends early; "" where it proposes all that there is, and nothing twice
    seeded    whether another seed proposes something else
    each_s    mean of one `ask` and one `tell`
    """

    name: str
    repeats: str
    seeded: bool
    each_s: float

    def __str__(self) -> str:
        lines = [
            f"{self.name}: sound. Asked all at once or one by one, told early, late or not at all, broken off and "
            "resumed, it proposes the same; failed trials and scores that are not finite move nothing.",
            f"time           ask and tell {self.each_s * 1e3:.3g} ms a candidate, over {TIMED}",
        ]
        if self.repeats:
            lines.append(
                f"Consider: it may repeat itself or end early: {self.repeats}. A repeat is not evaluated, and 200 in a "
                "row end a search; draw again what was proposed, and give fewer only when nothing is left"
            )
        if not self.seeded:
            lines.append("Consider: the seed changes nothing, so that the seeds of a comparison are one and the same")
        return "\n".join(lines)


def check(target: str) -> str:
    """The verdict on a controller: FILE.py:NAME or a known name. Raises SearchError with the law that is broken, and
    the line at fault, for one that is not sound; ConfigError where there is none."""
    made = components.create("controller", target, {}, space=Ten(), seed=0)
    with ProcessExecutor(1, deadline_s=LIMIT_S) as executor:  # one that ends its process must not end this one
        _, error = attempt(lambda: check_first(target, {}, executor, space=Vast(), seed=0))
        if error is None:
            verdict, error = attempt(executor.submit(examine, target).result)
    if error is not None:
        text = str(error) if isinstance(error, NasError) else reason(error)
        place = (
            "" if ".py:" in text or not user_files.is_found(type(made)) else f" ({failures.place(type(made), 'ask')})"
        )
        text = text.removeprefix(f"controller {type(made).__name__}: ")
        raise Unsound(f"controller {Path(target).name} is not sound: {text}{place}")
    return str(replace(verdict, name=Path(target).name))


class Unsound(SearchError):
    """The controller breaks a law."""

    exit_status = 2


def examine(target: str) -> Verdict:
    """The verdict on a sound controller. Raises AssertionError or NasError for another."""

    def make(space: SearchSpace, *, seed: int) -> Controller:
        return CheckedController(components.create("controller", target, {}, space=space, seed=seed), space)

    check_controller(make, candidates=CANDIDATES)
    _, repeats = attempt(check_controller, make, candidates=CANDIDATES, repeats=False)
    if repeats is not None and not isinstance(repeats, AssertionError):
        raise repeats
    seeded = make(Vast(), seed=0).ask(CANDIDATES) != make(Vast(), seed=1).ask(CANDIDATES)
    return Verdict(target, "" if repeats is None else str(repeats), seeded, _seconds(make(Vast(), seed=0)))


def _seconds(controller: Controller) -> float:
    started = time.perf_counter()
    for number in range(TIMED):
        for architecture in controller.ask(1):
            score = Score(sum(architecture.picks.values()) / 400, stderr=0.0)
            controller.tell([Trial(number, architecture, budget=1, seed=0, state="done", score=score)])
    return (time.perf_counter() - started) / TIMED
