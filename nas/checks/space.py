"""Whether a space keeps the rules of `choose`, and if not, the line and the choice at fault."""

from __future__ import annotations

import hashlib
import random
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import failures
from ..architecture import Architecture
from ..choose import Choose, Pick
from ..errors import Rejected, SpaceError
from ..failures import attempt, reason
from ..protocols import SearchSpace
from ..space import sampling as kernel
from ..space.sampling import at_random, mutate, sample
from ..space.specs import same_spec
from ..task import TaskShape
from .time_limit import TimeUp, time_limit

if TYPE_CHECKING:
    import torch


DECIDE_S, BUILD_S = 10.0, 60.0
"""The longest that one `decide` and one `build` may take: many thousand times the usual."""
QUICK, QUICK_S = 50, 2.0
"""Architectures that are looked at before a search, and seconds after which those looked at must do."""
FINGERPRINT = 20
RULE = "decide may depend on nothing but its choices, not on unseeded randomness, the time, or what it decided before"


class Endless(SpaceError):
    """A `decide` or `build` that was stopped because it took too long."""


class Watched:
    """A space whose `decide` and `build` may not take for ever, and whose errors say where they came from.

    Every error but a rejection is a SpaceError with the line of the space's own file, and the choice made last.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.running: Literal["decide", "build", "graph"] = "decide"

    @property
    def name(self) -> str:
        return self.space.name

    def decide(self, choose: Choose) -> Any:
        self.running = "decide"
        return self._run(DECIDE_S, lambda: next(reversed(choose.picks), None), self.space.decide, choose)

    def build(self, spec: Any, task: TaskShape) -> torch.nn.Module:
        self.running = "build"
        network: torch.nn.Module = self._run(BUILD_S, lambda: None, self.space.build, spec, task)
        return network

    def place(self, error: BaseException | None = None) -> str:
        """'my_space.py:12': the innermost line of the space's file that an error passed, else where the method that ran
        last begins."""
        return failures.place(type(self.space), self.running, error)

    def _run(self, limit_s: float, last: Callable[[], str | None], fn: Callable[..., Any], *args: Any) -> Any:
        try:
            with time_limit(limit_s):
                result, error = attempt(fn, *args)
        except TimeUp as up:
            place = self._after(up, last())
            raise Endless(f"{self.running} has not ended after {limit_s:g} s ({place}); does a loop end?") from None
        if error is None or isinstance(error, Rejected):
            if error is not None:
                raise error
            return result
        text = str(error) if isinstance(error, SpaceError) else f"{self.running} raised {reason(error)}"
        raise SpaceError(f"{text} ({self._after(error, last())})") from error

    def _after(self, error: BaseException, choice: str | None) -> str:
        return self.place(error) if choice is None else f"{self.place(error)}, after choice {choice!r}"


@dataclass(frozen=True)
class Made:
    """One choice as it was made: its options in a text without addresses, and the line that made it."""

    name: str
    options: str
    place: str

    def __str__(self) -> str:
        return f"choice {self.name!r} of {self.options[:100]}"


class _Tracing(Choose):
    def __init__(self, pick: Pick) -> None:
        super().__init__(pick)
        self.made: list[Made] = []

    def __call__(self, name: str, options: Any) -> Any:
        frame = sys._getframe(1)
        while frame.f_code.co_filename == kernel.__file__ and frame.f_back is not None:
            frame = frame.f_back
        place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        self.made.append(Made(str(name), re.sub(r" at 0x[0-9a-f]+", "", repr(options)), place))
        return super().__call__(name, options)


def check_steady(watched: Watched, rng: random.Random) -> Architecture:
    """A random architecture, decided twice. Raises SpaceError, naming line and choice, where the second time differs;
    Rejected where it is rejected both times."""
    spec, first, rejected = _traced(watched, at_random(rng))
    other, again, rejected_again = _traced(watched, lambda name, options: min(first.picks.get(name, 0), options - 1))
    for one, two in zip_longest(first.made, again.made):
        made = two or one
        if made and (one is None or two is None or (one.name, one.options) != (two.name, two.options)):
            came = " and then ".join(str(each) if each else "no choice" for each in (one, two))
            raise SpaceError(f"after the same choices there came {came} ({made.place}); {RULE}")
    same, error = attempt(same_spec, spec, other)
    if error is not None:
        raise SpaceError(f"{error} ({watched.place()})") from error
    if (rejected is None) != (rejected_again is None) or not same:
        raise SpaceError(
            f"decide gave two results for the same picks {first.picks}: {rejected or repr(spec)} and "
            f"{rejected_again or repr(other)} ({watched.place()}); {RULE}, and the spec must compare by value (tuples, "
            "lists, dataclasses)"
        )
    if rejected is not None:
        raise rejected
    return Architecture(watched.name, first.picks)


def fingerprint(watched: Watched) -> str:
    """A digest of the choices that a few random architectures make, which must be the same in every process."""
    traces = []
    for seed in range(FINGERPRINT):
        _, choose, _ = _traced(watched, at_random(random.Random(seed)))
        traces.append([(made.name, made.options) for made in choose.made])
    return hashlib.sha256(repr(traces).encode(errors="replace")).hexdigest()


def check_fingerprint(space: SearchSpace, elsewhere: str) -> None:
    """Raises SpaceError where another process, with another order of sets, had another fingerprint."""
    watched = Watched(space)
    if fingerprint(watched) != elsewhere:
        raise SpaceError(
            f"decide of space {space.name!r} makes other choices in another process ({watched.place()}); {RULE}: a set "
            "and what hangs on hash() have another order there; sort them"
        )


def quick(space: SearchSpace) -> str:
    """What a search asks of its space before it begins; the space's fingerprint. Raises SpaceError with the line and
    choice at fault."""
    watched, rng = Watched(space), random.Random(0)
    end = time.monotonic() + QUICK_S
    drawn = [sample(watched, rng)]
    for _ in range(QUICK):
        with suppress(Rejected):
            drawn.append(check_steady(watched, rng))
        if time.monotonic() > end:
            break
    for architecture in drawn[-5:]:
        with suppress(Rejected):
            mutate(watched, architecture, rng)
    return fingerprint(watched)


def _traced(watched: Watched, pick: Pick) -> tuple[Any, _Tracing, Rejected | None]:
    choose = _Tracing(pick)
    try:
        return watched.decide(choose), choose, None
    except Rejected as error:
        return None, choose, error
