"""Laws of controllers."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import Protocol

from ..architecture import Architecture
from ..protocols.controllers import Controller, Watched
from ..protocols.spaces import SearchSpace
from ..space.enumeration import enumerate_all
from ..space.sampling import replay, sample
from ..trial import Score, Trial
from .toy_spaces import OnePoint, Ten, ToySpace, Vast, require


class MakeController(Protocol):
    """A class of controllers, or a function that makes one."""

    def __call__(self, space: SearchSpace, *, seed: int) -> Controller: ...


def check_controller(
    make: MakeController,
    *,
    space: SearchSpace | None = None,
    candidates: int = 60,
    seed: int = 0,
    repeats: bool = True,
) -> None:
    """Checks the laws of `nas.protocols.Controller`.

    * Every proposal belongs to the space.
    * `ask(a + b)` is `ask(a) + ask(b)`, and `tell(a + b)` is `tell(a); tell(b)`.
    * A controller that is rebuilt by replaying the same asks and tells, one proposal at a time as a resumed run does,
      proposes next what the uninterrupted one proposes, also where only that one is measured (`Watched`).
    * Trials may come late, in any order, and without having been proposed (a warm start).
    * Trials that failed or have no finite score change nothing.
    * Equal scores, huge scores, a space of one architecture and a space of 10⁴⁰ are handled.

    Args:
        make: Makes the controller; called as `make(space, seed=seed)`.
        space: Search space of most checks; by default ToySpace. Spaces of other sizes are tried in any case.
        candidates: Proposals of each search, at least 2.
        seed: Seed of the controllers, and of the scores and trials that they are told.
        repeats: Whether the controller may propose duplicates of what it proposed or was told before. If False, it
            must propose every architecture exactly once before `ask` returns fewer than it was asked for.

    Raises:
        AssertionError: A law is broken; the message says which, and how.
        NasError: A proposal does not belong to the space.
    """
    main_space: SearchSpace = ToySpace() if space is None else space
    rng = random.Random(seed)
    _check_asks(make, main_space, candidates, seed)
    _check_tells(make, main_space, candidates, rng)
    _check_resumes(make, main_space, candidates, rng)
    _check_failures(make, main_space, candidates, rng)
    for scores in ((0.5, 0.5), (-1e30, -1e30), (0.0, 1.0), (-1e300, 1e300)):
        for each in (main_space, OnePoint(), Ten()):
            _check_search(make(each, seed=seed), each, candidates, scores, repeats, rng)
    _check_search(make(Vast(), seed=seed), Vast(), candidates, (0.0, 1.0), repeats, rng)
    if not repeats:
        for finite in (OnePoint(), Ten(), ToySpace()):
            _check_exhausts(make, finite, seed, rng)


def _check_asks(make: MakeController, space: SearchSpace, candidates: int, seed: int) -> None:
    at_once = make(space, seed=seed).ask(candidates)
    require(isinstance(at_once, list), f"ask({candidates}) gave a {type(at_once).__name__}, not a list")
    require(len(at_once) > 0, f"ask({candidates}) of a fresh controller proposes nothing")
    require(len(at_once) <= candidates, f"ask({candidates}) gave {len(at_once)} architectures")
    for architecture in at_once:
        replay(space, architecture)
    controller = make(space, seed=seed)
    require(controller.ask(0) == [], "ask(0) must be an empty list")
    half = candidates // 2
    in_parts = controller.ask(half) + controller.ask(candidates - half)
    require(
        at_once == in_parts,
        f"ask({candidates}) differs from ask({half}) + ask({candidates - half}) of a second controller with the same "
        "seed; derive a generator from (seed, number asked) for each proposal",
    )


def _check_tells(make: MakeController, space: SearchSpace, candidates: int, rng: random.Random) -> None:
    seed = rng.randrange(1000)
    # The controller proposed none of these trials: a warm start.
    trials = [_done(i, sample(space, rng), rng.random()) for i in range(candidates)]
    rng.shuffle(trials)
    together, apart = make(space, seed=seed), make(space, seed=seed)
    together.tell(trials)
    cut = rng.randrange(1, candidates)
    for part in (trials[:cut], [], trials[cut:]):
        apart.tell(part)
    require(together.ask(candidates) == apart.ask(candidates), "tell(a + b) differs from tell(a); tell(b)")


def _check_resumes(make: MakeController, space: SearchSpace, candidates: int, rng: random.Random) -> None:
    """Rebuilds a controller at several points of a search whose candidates finish late and in any order."""
    seed = rng.randrange(1000)
    unbroken = make(space, seed=seed)
    rounds: list[tuple[list[Architecture], int, list[Trial]]] = []
    pending: list[Trial] = []
    for first in itertools.count(0, 4):
        n = rng.randint(1, 4)
        proposals = unbroken.ask(n)
        pending += [_finished(first + i, architecture, rng) for i, architecture in enumerate(proposals)]
        rng.shuffle(pending)
        finished = [pending.pop() for _ in range(rng.randint(0, len(pending)))]
        unbroken.tell(finished)
        _check_measurements(unbroken)
        rounds.append((proposals, n, finished))
        if not proposals or first >= 2 * candidates:
            break
    for length in {*rng.sample(range(len(rounds)), min(4, len(rounds))), len(rounds) - 1}:
        rebuilt = make(space, seed=seed)
        for proposals, _, finished in rounds[:length]:
            for _ in proposals:  # A store knows what was proposed, not how many were asked for at a time.
                rebuilt.ask(1)
            rebuilt.tell(finished)
        expected, n, _ = rounds[length]
        require(
            rebuilt.ask(n) == expected,
            f"rebuilt by replaying {length} asks and tells, the controller proposes something else than the "
            "uninterrupted one; it must be a function of the space, the seed, and what it was asked and told, and "
            "measurements() must change nothing",
        )


def _check_measurements(controller: Controller) -> None:
    if isinstance(controller, Watched):
        for name, value in controller.measurements().items():
            require(isinstance(name, str), f"measurements() has the name {name!r}; it must be a text")
            require(
                isinstance(value, float | int) and math.isfinite(value),
                f"measurements() gives {name!r} as {value!r}; it must be a finite number, or absent",
            )


def _check_failures(make: MakeController, space: SearchSpace, candidates: int, rng: random.Random) -> None:
    seed = rng.randrange(1000)
    trials = [_finished(i, sample(space, rng), rng) for i in range(candidates)]
    scored = [trial for trial in trials if trial.state == "done"]
    expected = _proposals_after(make(space, seed=seed), scored, candidates)
    require(
        _proposals_after(make(space, seed=seed), trials, candidates) == expected,
        "being told failed trials changes what is proposed next; they have no score to learn from",
    )
    for value in (math.nan, math.inf, -math.inf):
        strange = [_done(i, sample(space, rng), value) for i in range(candidates)]
        mixed = [trial for pair in itertools.zip_longest(strange, scored) for trial in pair if trial is not None]
        require(
            _proposals_after(make(space, seed=seed), mixed, candidates) == expected,
            f"being told scores that are {value} changes what is proposed next; there is nothing to learn from them",
        )


def _check_search(
    controller: Controller,
    space: SearchSpace,
    candidates: int,
    scores: tuple[float, float],
    repeats: bool,
    rng: random.Random,
) -> None:
    """Searches one proposal at a time after a warm start, with scores drawn uniformly between two numbers."""
    known = [sample(space, rng) for _ in range(3)]
    controller.tell([_done(number, architecture, rng.uniform(*scores)) for number, architecture in enumerate(known)])
    for number in range(3, candidates):
        for architecture in controller.ask(1):
            replay(space, architecture)
            require(
                repeats or architecture not in known,
                f"{dict(architecture.picks)} of {space.name!r} was proposed or told of before",
            )
            known.append(architecture)
            controller.tell([_done(number, architecture, rng.uniform(*scores))])


def _check_exhausts(make: MakeController, space: SearchSpace, seed: int, rng: random.Random) -> None:
    """Exhausts a space, in one call or one by one, after a warm start of none, half or all of its architectures."""
    everything = list(enumerate_all(space))
    for num_known, at_once in itertools.product((0, len(everything) // 2, len(everything)), (True, False)):
        controller = make(space, seed=seed)
        known = rng.sample(everything, num_known)
        controller.tell([_done(i, architecture, rng.random()) for i, architecture in enumerate(known)])
        proposed: list[Architecture] = []
        while proposals := controller.ask(2 * len(everything) if at_once else 1):
            proposed += proposals
            require(len(proposed) <= len(everything), f"more is proposed of {space.name!r} than there is")
            controller.tell([_finished(len(proposed), architecture, rng) for architecture in proposals])
        require(
            len(proposed) == len(everything) - num_known and {*proposed, *known} == {*everything},
            f"of {len(everything)} architectures of {space.name!r}, {num_known} of them known before, {len(proposed)} "
            f"were proposed, {len({*proposed})} of them different, before the controller had nothing more",
        )
        require(controller.ask(3) == [], f"all of {space.name!r} was proposed, and ask gives more")


def _proposals_after(controller: Controller, trials: Sequence[Trial], number: int) -> list[Architecture]:
    controller.tell(trials)
    return controller.ask(number)


def _finished(number: int, architecture: Architecture, rng: random.Random) -> Trial:
    """A trial that failed, with probability 1/4, or has a random score."""
    if rng.random() < 0.25:
        return Trial(number, architecture, budget=1, seed=0, state="failed", error="out of luck")
    return _done(number, architecture, rng.random())


def _done(number: int, architecture: Architecture, value: float) -> Trial:
    return Trial(number, architecture, budget=1, seed=0, state="done", score=Score(value, stderr=0.0))
