"""The laws of controllers, to run on your own: `from nas.testing import check_controller`."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import Protocol

from ..architecture import Architecture
from ..protocols import Controller, SearchSpace
from ..space.enumeration import enumerate_all
from ..space.sampling import replay, sample
from ..trial import Score, Trial
from .toy_spaces import OnePoint, Ten, ToySpace, Vast, hold


class MakeController(Protocol):
    """A controller's class, or a function that makes one."""

    def __call__(self, space: SearchSpace, *, seed: int) -> Controller: ...


def check_controller(
    make: MakeController,
    *,
    space: SearchSpace | None = None,
    candidates: int = 60,
    seed: int = 0,
    repeats: bool = True,
) -> None:
    """Checks the laws of `nas.protocols.Controller` for `make(space, seed=seed)` over a search of `candidates`.

    Proposals belong to the space; `ask(a + b)` is `ask(a) + ask(b)`; `tell(a + b)` is `tell(a); tell(b)`; a controller
    rebuilt by replaying the same asks and tells, one proposal at a time as a resumed run does, asks next what the
    unbroken one asks; trials that failed or have no finite score, told to a controller that did not ask for them,
    change nothing; trials come in any order, late, and may never have been asked for (a warm start); equal and huge
    scores, one architecture or 10⁴⁰ of them are no trouble.

    space    where it searches; a small conditional one by default. Spaces of other sizes are tried in any case
    repeats  whether it may propose what it has proposed or was told of before. If not, it must propose every
             architecture before `ask` gives fewer than it is asked for, and none twice
    """
    searched: SearchSpace = ToySpace() if space is None else space
    rng = random.Random(seed)
    _check_asks(make, searched, candidates, seed)
    _check_tells(make, searched, candidates, rng)
    _check_resumes(make, searched, candidates, rng)
    _check_failures(make, searched, candidates, rng)
    for scores in ((0.5, 0.5), (-1e30, -1e30), (0.0, 1.0), (-1e300, 1e300)):
        for points in (searched, OnePoint(), Ten()):
            _check_search(make(points, seed=seed), points, candidates, scores, repeats, rng)
    _check_search(make(Vast(), seed=seed), Vast(), candidates, (0.0, 1.0), repeats, rng)
    if not repeats:
        for points in (OnePoint(), Ten(), ToySpace()):
            _check_ends(make, points, seed, rng)


def _check_asks(make: MakeController, space: SearchSpace, candidates: int, seed: int) -> None:
    at_once = make(space, seed=seed).ask(candidates)
    hold(isinstance(at_once, list), f"ask({candidates}) gave a {type(at_once).__name__}, not a list")
    hold(len(at_once) > 0, f"ask({candidates}) of a fresh controller proposes nothing")
    hold(len(at_once) <= candidates, f"ask({candidates}) gave {len(at_once)} architectures")
    for architecture in at_once:
        replay(space, architecture)
    controller = make(space, seed=seed)
    hold(controller.ask(0) == [], "ask(0) must be an empty list")
    half = candidates // 2
    in_parts = controller.ask(half) + controller.ask(candidates - half)
    hold(
        at_once == in_parts,
        f"ask({candidates}) differs from ask({half}) + ask({candidates - half}) of a second controller with the same "
        "seed; derive a generator from (seed, number asked) for each proposal",
    )


def _check_tells(make: MakeController, space: SearchSpace, candidates: int, rng: random.Random) -> None:
    seed = rng.randrange(1000)
    # Not asked of the controller: a warm start.
    trials = [_done(i, sample(space, rng), rng.random()) for i in range(candidates)]
    rng.shuffle(trials)
    together, apart = make(space, seed=seed), make(space, seed=seed)
    together.tell(trials)
    cut = rng.randrange(1, candidates)
    for part in (trials[:cut], [], trials[cut:]):
        apart.tell(part)
    hold(together.ask(candidates) == apart.ask(candidates), "tell(a + b) differs from tell(a); tell(b)")


def _check_resumes(make: MakeController, space: SearchSpace, candidates: int, rng: random.Random) -> None:
    """A search whose candidates finish late and in any order is broken off at several places and rebuilt."""
    seed = rng.randrange(1000)
    unbroken = make(space, seed=seed)
    rounds: list[tuple[list[Architecture], int, list[Trial]]] = []
    pending: list[Trial] = []
    for first in itertools.count(0, 4):
        n = rng.randint(1, 4)
        asked = unbroken.ask(n)
        pending += [_finished(first + i, architecture, rng) for i, architecture in enumerate(asked)]
        rng.shuffle(pending)
        told = [pending.pop() for _ in range(rng.randint(0, len(pending)))]
        unbroken.tell(told)
        rounds.append((asked, n, told))
        if not asked or first >= 2 * candidates:
            break
    for place in {*rng.sample(range(len(rounds)), min(4, len(rounds))), len(rounds) - 1}:
        rebuilt = make(space, seed=seed)
        for asked, _, told in rounds[:place]:
            for _ in asked:  # a store knows what was proposed, not how many were asked for at a time
                rebuilt.ask(1)
            rebuilt.tell(told)
        expected, n, _ = rounds[place]
        hold(
            rebuilt.ask(n) == expected,
            f"rebuilt by replaying {place} asks and tells, the controller asks for something else than the unbroken "
            "one; it must be a function of the space, the seed, and what it was asked and told",
        )


def _check_failures(make: MakeController, space: SearchSpace, candidates: int, rng: random.Random) -> None:
    seed = rng.randrange(1000)
    trials = [_finished(i, sample(space, rng), rng) for i in range(candidates)]
    scored = [trial for trial in trials if trial.state == "done"]
    expected = _told(make(space, seed=seed), scored).ask(candidates)
    hold(
        _told(make(space, seed=seed), trials).ask(candidates) == expected,
        "being told failed trials changes what is asked next; they have no score to learn from",
    )
    for value in (math.nan, math.inf, -math.inf):
        strange = [_done(i, sample(space, rng), value) for i in range(candidates)]
        mixed = [trial for pair in itertools.zip_longest(strange, scored) for trial in pair if trial is not None]
        hold(
            _told(make(space, seed=seed), mixed).ask(candidates) == expected,
            f"being told scores that are {value} changes what is asked next; there is nothing to learn from them",
        )


def _check_search(
    controller: Controller,
    space: SearchSpace,
    candidates: int,
    scores: tuple[float, float],
    repeats: bool,
    rng: random.Random,
) -> None:
    """One proposal after another, from a warm start on; their scores are uniform between the two."""
    known = [sample(space, rng) for _ in range(3)]
    controller.tell([_done(number, architecture, rng.uniform(*scores)) for number, architecture in enumerate(known)])
    for number in range(3, candidates):
        for architecture in controller.ask(1):
            replay(space, architecture)
            hold(
                repeats or architecture not in known,
                f"{dict(architecture.picks)} of {space.name!r} was proposed or told of before",
            )
            known.append(architecture)
            controller.tell([_done(number, architecture, rng.uniform(*scores))])


def _check_ends(make: MakeController, space: SearchSpace, seed: int, rng: random.Random) -> None:
    """All are proposed, at once or in the course of a search, some of them known before; then `ask` gives nothing."""
    everything = list(enumerate_all(space))
    for known, at_once in itertools.product((0, len(everything) // 2, len(everything)), (True, False)):
        controller = make(space, seed=seed)
        told = rng.sample(everything, known)
        _told(controller, [_done(i, architecture, rng.random()) for i, architecture in enumerate(told)])
        found: list[Architecture] = []
        while asked := controller.ask(2 * len(everything) if at_once else 1):
            found += asked
            hold(len(found) <= len(everything), f"more is proposed of {space.name!r} than there is")
            controller.tell([_finished(len(found), architecture, rng) for architecture in asked])
        hold(
            len(found) == len(everything) - known and {*found, *told} == {*everything},
            f"of {len(everything)} architectures of {space.name!r}, {known} of them known before, {len(found)} were "
            f"proposed, {len({*found})} of them different, before the controller had nothing more",
        )
        hold(controller.ask(3) == [], f"all of {space.name!r} was proposed, and ask gives more")


def _told(controller: Controller, trials: Sequence[Trial]) -> Controller:
    controller.tell(trials)
    return controller


def _finished(number: int, architecture: Architecture, rng: random.Random) -> Trial:
    if rng.random() < 0.25:
        return Trial(number, architecture, budget=1, seed=0, state="failed", error="out of luck")
    return _done(number, architecture, rng.random())


def _done(number: int, architecture: Architecture, value: float) -> Trial:
    return Trial(number, architecture, budget=1, seed=0, state="done", score=Score(value, stderr=0.0))
