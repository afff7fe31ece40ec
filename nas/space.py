"""What can be done with a search space, whoever supplies the choices: sample, replay, mutate, cross over, walk, count.

A search space is a function that makes choices (`decide`). Each function here calls it with a different `choose`.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn, TypeVar

from .architecture import Architecture
from .errors import Rejected, SpaceError
from .options import PLAIN, SEQUENCES, as_sequence, plain, text_name
from .protocols import SearchSpace

T = TypeVar("T")
Pick = Callable[[str, int], int]
"""Who decides: given a choice's name and its number of options, the index of one of them."""
Step = Callable[[Sequence[Any], int, random.Random], int]
"""What a mutation makes of a choice: given its options, at least two, and the index taken, the index of another."""

MAX_CHOICES = 10_000
MAX_TRIES = 1_000
WORK = 2_000_000
"""Choices that counting may make, once for a list and once for an estimate: a few seconds."""
PILOT, FEWEST = 100, 10
"""Descents that tell whether a list is worth a try; descents that an estimate must rest on to have an upper end."""
Z95 = 1.96


class Choose:
    """The one argument of `decide`: `choose(name, options)` returns one of the options and records which."""

    def __init__(self, pick: Pick) -> None:
        self.picks: dict[str, int] = {}
        self._pick = pick

    def __call__(self, name: str, options: Sequence[T]) -> T:
        """One of `options`, as a plain Python value. Raises SpaceError for no options, for options without an order,
        such as a set, and for a name that is no text, that no file can hold, or that was used before."""
        if type(name) is not str or not name.isascii():
            name = text_name(name)
        if type(options) not in SEQUENCES:
            options = as_sequence(name, options)
        if len(options) == 0:
            raise SpaceError(f"choice {name!r} has no options; give at least one")
        if name in self.picks:
            raise SpaceError(f"choice {name!r} is made twice in one architecture; give each choice its own name")
        if len(self.picks) >= MAX_CHOICES:
            raise SpaceError(f"more than {MAX_CHOICES} choices in one architecture (at {name!r}); does decide end?")
        index = self._pick(name, len(options))
        self.picks[name] = index
        option = options[index]
        return option if type(option) in PLAIN else plain(option)

    def subset(self, name: str, options: Sequence[T], *, min: int = 0, max: int | None = None) -> list[T]:
        """Between `min` and `max` of `options`, in their order; one yes/no choice an option, named `name[i]`.

        A `max` above the number of options, or None, is all of them. Raises SpaceError where there is no such subset,
        and as a choice does.
        """
        name, options = text_name(name), as_sequence(name, options)
        most = len(options) if max is None or max > len(options) else max
        if not 0 <= min <= most:
            raise SpaceError(
                f"subset {name!r} of {len(options)} options has min = {min} and max = {max}; min must be from 0 to max "
                "and to the number of options"
            )
        taken: list[T] = []
        for i, option in enumerate(options):
            must = min - len(taken) == len(options) - i
            may = len(taken) < most
            if may and (must or self(f"{name}[{i}]", (False, True))):
                taken.append(plain(option))
        return taken

    def permutation(self, name: str, options: Sequence[T]) -> list[T]:
        """All of `options` in a chosen order; one choice a place, named `name[i]`, among those not yet placed."""
        name = text_name(name)
        left: list[T] = [plain(option) for option in as_sequence(name, options)]
        placed: list[T] = []
        for i in range(len(left) - 1):
            chosen = self(f"{name}[{i}]", range(len(left)))
            placed.append(left.pop(chosen))
        return placed + left

    def reject(self, reason: str) -> NoReturn:
        """Says that the choices made so far are not allowed together."""
        raise Rejected(reason)


def decide(space: SearchSpace, pick: Pick) -> tuple[Any, Architecture]:
    """The spec that `space.decide` returns when `pick` makes its choices, and the architecture that records them."""
    choose = Choose(pick)
    spec = space.decide(choose)
    return spec, Architecture(space.name, choose.picks)


def sample(space: SearchSpace, rng: random.Random) -> Architecture:
    """A random architecture, each choice uniform over its options; rejected ones are drawn again."""
    return _first_allowed(space, lambda: decide(space, at_random(rng))[1])


def replay(space: SearchSpace, architecture: Architecture) -> Any:
    """The spec of a recorded architecture.

    Raises SpaceError, naming the choice, when the record is of another space, lacks a choice, holds one that is never
    made, or an index out of range; Rejected when the space does not allow it.
    """
    return _replayed(space, architecture)[0]


def num_options(space: SearchSpace, architecture: Architecture) -> dict[str, int]:
    """For each choice of an architecture, in the order they are made, how many options it had. Raises as `replay`."""
    return {name: len(options) for name, options in _replayed(space, architecture)[1].items()}


def options_taken(space: SearchSpace, architecture: Architecture) -> dict[str, Any]:
    """For each choice of an architecture, in the order they are made, the option that is taken. Raises as `replay`."""
    picks = architecture.picks
    return {name: plain(options[picks[name]]) for name, options in _replayed(space, architecture)[1].items()}


def any_other(options: Sequence[Any], index: int, rng: random.Random) -> int:
    """Each of the other options alike."""
    return (index + 1 + int(rng.random() * (len(options) - 1))) % len(options)


def mutate(
    space: SearchSpace, architecture: Architecture, rng: random.Random, *, step: Step = any_other
) -> Architecture:
    """The architecture with exactly one choice changed, by `step`; choices that this opens are drawn uniformly.

    Raises Rejected when no choice has a second option or none of many changes is allowed.
    """
    movable = [(name, options) for name, options in _replayed(space, architecture)[1].items() if len(options) > 1]
    if not movable:
        raise Rejected(f"no choice of this architecture of {space.name!r} has a second option")
    for _ in range(MAX_TRIES):
        name, options = movable[int(rng.random() * len(movable))]
        kept = {**architecture.picks, name: step(options, architecture.picks[name], rng)}
        try:
            return decide(space, _kept_or(kept, at_random(rng)))[1]
        except Rejected:
            continue
    raise Rejected(f"none of {MAX_TRIES} mutations of an architecture of {space.name!r} is allowed")


def crossover(space: SearchSpace, first: Architecture, second: Architecture, rng: random.Random) -> Architecture:
    """A child that takes each choice from one of two parents at random, drawing those that neither parent made.

    Raises Rejected when none of many children is allowed.
    """
    draw = at_random(rng)

    def pick(name: str, options: int) -> int:
        parents = (first, second) if rng.random() < 0.5 else (second, first)
        for parent in parents:
            index = parent.picks.get(name)
            if index is not None and index < options:
                return index
        return draw(name, options)

    for _ in range(MAX_TRIES):
        try:
            return decide(space, pick)[1]
        except Rejected:
            continue
    raise Rejected(f"none of {MAX_TRIES} children of two architectures of {space.name!r} is allowed")


def neighbours(space: SearchSpace, architecture: Architecture) -> Iterator[Architecture]:
    """All architectures that differ in one choice (and in what that choice opens), lazily; rejected ones left out."""
    for name, size in num_options(space, architecture).items():
        for index in range(size):
            if index != architecture.picks[name]:
                yield from _walk(space, {**architecture.picks, name: index})


def enumerate_all(space: SearchSpace) -> Iterator[Architecture]:
    """Every architecture of the space once, lazily, in the order of its options; rejected ones left out."""
    return _walk(space, {})


def all_ends(space: SearchSpace) -> Iterator[Architecture | None]:
    """The same with None for each that is rejected, of which there may be any number in a row."""
    return (end for _, end in _ends(space, {}))


@dataclass(frozen=True)
class Count:
    """How many architectures a space has: exact, or an unbiased estimate rounded to a whole number.

    interval  of 95 %; equal to (value, value) where exact. Its upper end is None where the estimate rests on too few
              descents to have one: the number may then be far larger
    """

    value: int
    interval: tuple[int, int | None]
    exact: bool

    def __str__(self) -> str:
        if self.exact:
            return f"{self.value:,}"
        low, high = self.interval
        ends = f"at least {_short(low)}" if high is None else f"{_short(low)} – {_short(high)}"
        return f"about {_short(self.value)} (95 % interval {ends})"


def count(space: SearchSpace, *, limit: int = 100_000, samples: int = 10_000, seed: int = 0) -> Count:
    """Exact where the space's choices lead to at most `limit` ends, else Knuth's estimate from random descents.

    Knuth, "Estimating the efficiency of backtrack programs" (1975): the product of the numbers of options along a
    uniformly random descent has the number of ends as its mean. A rejected descent counts zero. The work is bounded by
    WORK choices, for the list as for the descents, and a space that the first descents show to be far larger than
    `limit` is not listed at all. Whole numbers: nothing overflows.
    """
    rng = random.Random(seed)
    first = _estimate(_products(space, min(samples, PILOT), rng))
    if first.interval[0] <= limit:
        found = _listed(space, limit)
        if found is not None:
            return Count(found, (found, found), True)
    return _estimate(_products(space, samples, rng))


def sample_uniformly(
    space: SearchSpace, rng: random.Random, n: int, *, limit: int = 100_000, pool: int = 10_000
) -> list[Architecture]:
    """`n` independent architectures, each equally likely, where `sample` prefers those behind few options.

    Exact where the space's choices lead to at most `limit` ends, which are listed twice. In a larger space an
    approximation: `pool` architectures are drawn by `sample`, and `n` of them taken in proportion to the products of
    their numbers of options (sampling importance resampling; Rubin 1988). It is the better the larger the pool, and
    the more alike the products are; where all are equal it is `sample`, with repetitions.
    """
    size = count(space, limit=limit, samples=PILOT)
    if size.exact:
        if size.value == 0:
            raise SpaceError(f"space {space.name!r} rejects all its architectures")
        places = [int(rng.random() * size.value) for _ in range(n)]
        wanted = set(places)
        found = {place: each for place, each in enumerate(enumerate_all(space)) if place in wanted}
        return [found[place] for place in places]
    drawn = [sample(space, rng) for _ in range(pool)]
    ends = list(itertools.accumulate(math.prod(num_options(space, each).values()) for each in drawn))
    return [drawn[bisect.bisect_right(ends, rng.randrange(ends[-1]))] for _ in range(n)]


def _listed(space: SearchSpace, limit: int) -> int | None:
    """How many allowed ends there are; None where there are more than `limit` in all, or they take too much work."""
    allowed = work = 0
    for number, (picks, end) in enumerate(_ends(space, {})):
        work += picks
        if number == limit or work > WORK:
            return None
        allowed += end is not None
    return allowed


def _products(space: SearchSpace, samples: int, rng: random.Random) -> list[int]:
    """For each of at most `samples` random descents the product of its numbers of options; 0 for one rejected."""
    draw = at_random(rng)
    products: list[int] = []
    work = 0
    while len(products) < samples and (work < WORK or len(products) < FEWEST):
        sizes: list[int] = []

        def pick(name: str, options: int, sizes: list[int] = sizes) -> int:
            sizes.append(options)
            return draw(name, options)

        try:
            decide(space, pick)
            products.append(math.prod(sizes))
        except Rejected:
            products.append(0)
        work += len(sizes)
    return products


def _estimate(products: Sequence[int]) -> Count:
    """The mean with its interval: a normal one for the logarithm, since products are skewed.

    Where the mean rests on few descents (Kish's effective number: the square of the sum over the sum of squares), a
    larger product may have escaped. Then only the lower end is known, from Markov's inequality: an unbiased estimate is
    above 20 times the truth in at most one case of 20.
    """
    n, total, squares = len(products), sum(products), sum(p * p for p in products)
    mean = round(Fraction(total, n))
    if total * total < FEWEST * squares or total == 0:
        return Count(mean, (-(-total // (20 * n)), None), False)
    relative = math.sqrt(float(Fraction(n * squares, total * total) - 1) / (n - 1))
    factor = Fraction(math.exp(Z95 * relative))
    return Count(mean, (round(Fraction(total, n) / factor), round(Fraction(total, n) * factor)), False)


def _short(value: int) -> str:
    """A whole number of any size in a few letters: '12,345' or '9.77E+55'."""
    return f"{value:,}" if value < 10**6 else f"{Decimal(value):.3G}"


class _Recorder(Choose):
    """Also knows the options of each choice made."""

    def __init__(self, pick: Pick) -> None:
        super().__init__(pick)
        self.options: dict[str, Sequence[Any]] = {}

    def __call__(self, name: str, options: Sequence[T]) -> T:
        option = super().__call__(name, options)
        self.options[name] = as_sequence(name, options)
        return option


def _replayed(space: SearchSpace, architecture: Architecture) -> tuple[Any, dict[str, Sequence[Any]]]:
    """The spec, and for each choice in the order they are made its options."""
    if architecture.space != space.name:
        raise SpaceError(f"the architecture is of space {architecture.space!r}, not of {space.name!r}")

    def pick(name: str, options: int) -> int:
        index = architecture.picks.get(name)
        if index is None:
            raise SpaceError(f"choice {name!r} is missing from the architecture")
        if not 0 <= index < options:
            raise SpaceError(f"choice {name!r} has index {index}; it must be from 0 to {options - 1}")
        return index

    choose = _Recorder(pick)
    spec = space.decide(choose)
    unused = sorted(set(architecture.picks) - set(choose.picks))
    if unused:
        raise SpaceError(f"choice {unused[0]!r} is in the architecture but the space never makes it")
    return spec, choose.options


def at_random(rng: random.Random) -> Pick:
    """Picks each option alike."""
    return lambda _name, options: int(rng.random() * options)


def _kept_or(kept: Mapping[str, int], otherwise: Pick) -> Pick:
    """Takes recorded picks while they are valid, asks `otherwise` for the rest."""

    def pick(name: str, options: int) -> int:
        index = kept.get(name)
        return index if index is not None and index < options else otherwise(name, options)

    return pick


def _first_allowed(space: SearchSpace, draw: Callable[[], Architecture]) -> Architecture:
    reason = ""
    for _ in range(MAX_TRIES):
        try:
            return draw()
        except Rejected as error:
            reason = str(error)
    raise SpaceError(
        f"no allowed architecture found in {MAX_TRIES} draws: space {space.name!r} rejected {MAX_TRIES} in a row; "
        f"the last reason: {reason}"
    )


def _walk(space: SearchSpace, kept: Mapping[str, int]) -> Iterator[Architecture]:
    return (end for _, end in _ends(space, kept) if end is not None)


def _ends(space: SearchSpace, kept: Mapping[str, int]) -> Iterator[tuple[int, Architecture | None]]:
    """Depth-first over all choices not in `kept`: each end of the tree once, None where it is rejected, after the
    number of those choices on the way to it."""
    prefix: list[int] = []
    path: list[tuple[int, int]] = []

    def digit(_name: str, options: int) -> int:
        index = prefix[len(path)] if len(path) < len(prefix) else 0
        path.append((index, options))
        return index

    while True:
        path.clear()
        end: Architecture | None
        try:
            end = decide(space, _kept_or(kept, digit))[1]
        except Rejected:
            end = None
        yield len(path), end
        while path and path[-1][0] + 1 == path[-1][1]:
            path.pop()
        if not path:
            return
        prefix[:] = [index for index, _ in path]
        prefix[-1] += 1
