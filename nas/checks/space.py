"""Checks that a search space keeps the rules of `choose`; errors name the line and the choice at fault."""

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
from ..protocols.spaces import SearchSpace
from ..space import sampling as kernel
from ..space.sampling import at_random, mutate, sample
from ..space.specs import same_spec
from ..task import TaskShape
from .time_limit import TimeUp, time_limit

if TYPE_CHECKING:
    import torch


DECIDE_S, BUILD_S = 10.0, 60.0
"""Time limits of one `decide` and one `build`, in seconds: many thousand times what they usually take."""
QUICK, QUICK_S = 50, 2.0
"""Architectures that `quick_check` decides, and the seconds after which it begins no other."""
FINGERPRINT = 20
"""Random architectures that make up a fingerprint."""
RULE = "decide may depend on nothing but its choices, not on unseeded randomness, the time, or what it decided before"


class SpaceTimeout(SpaceError):
    """A `decide` or `build` was stopped because it took too long."""


class CheckedSpace:
    """A search space with time limits for `decide` and `build`, and with errors that name the line at fault.

    Every error except Rejected becomes a SpaceError with the line of the space's own file and the last choice made.

    Args:
        space: The space to call.

    Attributes:
        space: The space to call.
        running: Its method that was called last, to which an error without a line is attributed.
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
        """The line of the space's file at fault, such as 'my_space.py:12': the innermost one that an error passed, else
        the first line of the method that was called last."""
        return failures.place(type(self.space), self.running, error)

    def _run(self, limit_s: float, last_choice: Callable[[], str | None], fn: Callable[..., Any], *args: Any) -> Any:
        try:
            with time_limit(limit_s):
                outcome = attempt(fn, *args)
        except TimeUp as timeout:
            place = self._after(timeout, last_choice())
            message = f"{self.running} has not ended after {limit_s:g} s ({place}); does a loop end?"
            raise SpaceTimeout(message) from None
        error = outcome.error
        if error is None:
            return outcome.value
        if isinstance(error, Rejected):
            raise error
        text = str(error) if isinstance(error, SpaceError) else f"{self.running} raised {reason(error)}"
        raise SpaceError(f"{text} ({self._after(error, last_choice())})") from error

    def _after(self, error: BaseException, choice: str | None) -> str:
        return self.place(error) if choice is None else f"{self.place(error)}, after choice {choice!r}"


@dataclass(frozen=True)
class _Choice:
    """One choice that was made.

    Attributes:
        name: Its name.
        options: Its options as text, without addresses in memory, which differ between processes.
        place: The line that made it, such as 'my_space.py:12'.
    """

    name: str
    options: str
    place: str

    def __str__(self) -> str:
        return f"choice {self.name!r} of {self.options[:100]}"


class _TracingChoose(Choose):
    """A `choose` that records every choice with its options and its line."""

    def __init__(self, pick: Pick) -> None:
        super().__init__(pick)
        self.made: list[_Choice] = []

    def __call__(self, name: str, options: Any) -> Any:
        frame = sys._getframe(1)
        while frame.f_code.co_filename == kernel.__file__ and frame.f_back is not None:
            frame = frame.f_back
        place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        self.made.append(_Choice(str(name), re.sub(r" at 0x[0-9a-f]+", "", repr(options)), place))
        return super().__call__(name, options)


def sample_checked(space: CheckedSpace, rng: random.Random) -> Architecture:
    """Draws a random architecture and decides it a second time by the same picks.

    Raises:
        SpaceError: The second time differs; the message names the line and the choice.
        Rejected: The space rejects the architecture both times.
    """
    spec, first, rejected = _traced(space, at_random(rng))
    other, again, rejected_again = _traced(space, lambda name, options: min(first.picks.get(name, 0), options - 1))
    for one, two in zip_longest(first.made, again.made):
        choice = two or one
        if choice and (one is None or two is None or (one.name, one.options) != (two.name, two.options)):
            both = " and then ".join(str(each) if each else "no choice" for each in (one, two))
            raise SpaceError(f"after the same choices there came {both} ({choice.place}); {RULE}")
    same = attempt(same_spec, spec, other)
    if same.error is not None:
        raise SpaceError(f"{same.error} ({space.place()})") from same.error
    if (rejected is None) != (rejected_again is None) or not same.value:
        raise SpaceError(
            f"decide gave two results for the same picks {first.picks}: {rejected or repr(spec)} and "
            f"{rejected_again or repr(other)} ({space.place()}); {RULE}, and the spec must compare by value (tuples, "
            "lists, dataclasses)"
        )
    if rejected is not None:
        raise rejected
    return Architecture(space.name, first.picks)


def fingerprint(space: CheckedSpace) -> str:
    """SHA-256 digest of the choices of FINGERPRINT random architectures, which must be the same in every process."""
    traces = []
    for seed in range(FINGERPRINT):
        _, choose, _ = _traced(space, at_random(random.Random(seed)))
        traces.append([(choice.name, choice.options) for choice in choose.made])
    return hashlib.sha256(repr(traces).encode(errors="replace")).hexdigest()


def check_fingerprint(space: SearchSpace, elsewhere: str) -> None:
    """Compares a space's fingerprint with that of another process, where the order of sets is another.

    Raises:
        SpaceError: The two differ.
    """
    checked = CheckedSpace(space)
    if fingerprint(checked) != elsewhere:
        raise SpaceError(
            f"decide of space {space.name!r} makes other choices in another process ({checked.place()}); {RULE}: a set "
            "and what hangs on hash() have another order there; sort them"
        )


def quick_check(space: SearchSpace) -> str:
    """Pre-flight check of a search space: decides and mutates a few random architectures.

    Returns:
        The space's fingerprint, for `check_fingerprint` in another process.

    Raises:
        SpaceError: The space breaks a rule; the message names the line and the choice at fault.
    """
    checked, rng = CheckedSpace(space), random.Random(0)
    end = time.monotonic() + QUICK_S
    drawn = [sample(checked, rng)]
    for _ in range(QUICK):
        with suppress(Rejected):
            drawn.append(sample_checked(checked, rng))
        if time.monotonic() > end:
            break
    for architecture in drawn[-5:]:
        with suppress(Rejected):
            mutate(checked, architecture, rng)
    return fingerprint(checked)


def _traced(space: CheckedSpace, pick: Pick) -> tuple[Any, _TracingChoose, Rejected | None]:
    choose = _TracingChoose(pick)
    try:
        return space.decide(choose), choose, None
    except Rejected as error:
        return None, choose, error
