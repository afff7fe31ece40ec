"""Enumeration, counting, neighbours and uniform samples of a space."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from ..architecture import Architecture
from ..errors import Rejected, SpaceError
from ..protocols.spaces import SearchSpace
from .sampling import at_random, decide, kept_or, num_options, sample

WORK = 2_000_000
"""Maximum number of choices made in counting, for the list and for the estimate each: a few seconds."""
PILOT, FEWEST = 100, 10
"""Descents that show whether listing is worth a try; effective number of descents that an upper end of an estimate
needs."""
Z95 = 1.96
"""The 97.5 % quantile of the standard normal distribution."""


def neighbours(space: SearchSpace, architecture: Architecture) -> Iterator[Architecture]:
    """All allowed architectures that differ in one choice and in the choices that it opens, lazily."""
    for name, size in num_options(space, architecture).items():
        for index in range(size):
            if index != architecture.picks[name]:
                yield from _walk(space, {**architecture.picks, name: index})


def enumerate_all(space: SearchSpace) -> Iterator[Architecture]:
    """Every allowed architecture of the space once, lazily, in the order of its options."""
    return _walk(space, {})


def all_ends(space: SearchSpace) -> Iterator[Architecture | None]:
    """Every architecture as `enumerate_all`, and None for each rejected one, so that a caller can bound the work."""
    return (end for _, end in _ends(space, {}))


@dataclass(frozen=True)
class Count:
    """Number of architectures of a space.

    Attributes:
        value: The exact number, or an unbiased estimate rounded to a whole number.
        interval: 95 % confidence interval; (value, value) where exact. The upper end is None where the estimate rests
            on too few descents to have one: the number may then be far larger.
        exact: Whether the number is exact.
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
    """The number of architectures of a space: exact for small spaces, else Knuth's estimate from random descents.

    Knuth, "Estimating the efficiency of backtrack programs" (1975): the product of the numbers of options along a
    uniformly random descent has the number of leaves of the tree of choices as its mean. A rejected descent counts
    zero. The numbers are whole, so that nothing overflows.

    Args:
        space: The search space.
        limit: Largest number of leaves, allowed or rejected, that is counted exactly.
        samples: Maximum number of random descents.
        seed: Seed of the descents.
    """
    rng = random.Random(seed)
    first = _estimate(_products(space, min(samples, PILOT), rng))
    if first.interval[0] <= limit:
        number = _listed(space, limit)
        if number is not None:
            return Count(number, (number, number), True)
    return _estimate(_products(space, samples, rng))


def sample_uniformly(
    space: SearchSpace, rng: random.Random, n: int, *, limit: int = 100_000, pool: int = 10_000
) -> list[Architecture]:
    """`n` independent architectures, each equally likely; `sample` prefers those behind few options.

    In a space whose tree of choices has at most `limit` leaves the distribution is exact. In a larger space it is an
    approximation: of `pool` architectures drawn by `sample`, `n` are taken in proportion to the products of their
    numbers of options (sampling importance resampling; Rubin 1988). It is better the larger the pool and the more equal
    the products are.

    Args:
        space: The search space.
        rng: Source of randomness.
        n: Number of architectures, drawn with replacement.
        limit: Largest number of leaves that are listed.
        pool: Number of candidates in a larger space.

    Raises:
        SpaceError: The space rejects all its architectures.
    """
    size = count(space, limit=limit, samples=PILOT)
    if size.exact:
        if size.value == 0:
            raise SpaceError(f"space {space.name!r} rejects all its architectures")
        places = [int(rng.random() * size.value) for _ in range(n)]
        wanted = set(places)
        listed = {place: each for place, each in enumerate(enumerate_all(space)) if place in wanted}
        return [listed[place] for place in places]
    drawn = [sample(space, rng) for _ in range(pool)]
    cumulative = list(itertools.accumulate(math.prod(num_options(space, each).values()) for each in drawn))
    return [drawn[bisect.bisect_right(cumulative, rng.randrange(cumulative[-1]))] for _ in range(n)]


def _listed(space: SearchSpace, limit: int) -> int | None:
    """Number of allowed leaves; None where there are over `limit` in all, or where listing them takes over WORK."""
    allowed = work = 0
    for number, (picks, end) in enumerate(_ends(space, {})):
        work += picks
        if number == limit or work > WORK:
            return None
        allowed += end is not None
    return allowed


def _products(space: SearchSpace, samples: int, rng: random.Random) -> list[int]:
    """Product of the numbers of options of each of at most `samples` random descents; 0 for a rejected one."""
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
    """The mean of products with its interval, normal in the logarithm since products are skewed.

    Where the mean rests on few descents (Kish's effective number: the square of the sum over the sum of squares), a
    larger product may be missing. Then only the lower end is known, from Markov's inequality: an unbiased estimate
    exceeds 20 times the true number in at most one case of 20.
    """
    n, total, squares = len(products), sum(products), sum(p * p for p in products)
    mean = round(Fraction(total, n))
    if total * total < FEWEST * squares or total == 0:
        return Count(mean, (-(-total // (20 * n)), None), False)
    relative = math.sqrt(float(Fraction(n * squares, total * total) - 1) / (n - 1))
    factor = Fraction(math.exp(Z95 * relative))
    return Count(mean, (round(Fraction(total, n) / factor), round(Fraction(total, n) * factor)), False)


def _short(value: int) -> str:
    """A whole number of any size as a short text: '12,345' or '9.77E+55'."""
    return f"{value:,}" if value < 10**6 else f"{Decimal(value):.3G}"


def _walk(space: SearchSpace, kept: Mapping[str, int]) -> Iterator[Architecture]:
    return (end for _, end in _ends(space, kept) if end is not None)


def _ends(space: SearchSpace, kept: Mapping[str, int]) -> Iterator[tuple[int, Architecture | None]]:
    """Depth-first over all choices not in `kept`: (number of these choices, architecture) of each leaf of the tree.

    The architecture is None where it is rejected."""
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
            end = decide(space, kept_or(kept, digit))[1]
        except Rejected:
            end = None
        yield len(path), end
        while path and path[-1][0] + 1 == path[-1][1]:
            path.pop()
        if not path:
            return
        prefix[:] = [index for index, _ in path]
        prefix[-1] += 1
