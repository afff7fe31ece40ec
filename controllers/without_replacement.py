"""Sampling of architectures without replacement."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.protocols import GraphSpace, SearchSpace
from nas.space import all_ends
from nas.space.identity import network_key

TRIES = 50
"""Draws of duplicates after which the space is enumerated for an unseen architecture."""
MOST_REMAINING = 1000
"""Unseen architectures that an enumeration collects at most; one of them is then drawn."""
MOST_ENUMERATED = 20_000
"""Architectures enumerated at most beyond the number of those seen. If all of these are seen networks, as may happen in
a vast space of few networks, the space counts as exhausted."""
MOST_REJECTED = 2000
"""Rejections in a row that end an enumeration; each may be of a network that had to be built."""


class Unseen:
    """The set of architectures of a space that were neither proposed nor told, with ways to draw from it.

    Args:
        space: Search space.
        seed: Seed of the generators that `propose` hands out.
        networks: Whether an architecture also counts as seen when its network, by the graph that the space draws, is
            that of a seen one. Without effect for spaces that draw no graphs.

    Attributes:
        num_proposed: Number of architectures that `propose` has yielded.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0, networks: bool = False) -> None:
        self._space, self._seed = space, seed
        self.num_proposed = 0
        self._seen: set[Architecture] = set()
        self._seen_networks: set[str] | None = set() if networks and isinstance(space, GraphSpace) else None
        self._remaining: list[Architecture] = []  # of the last enumeration, where it found few
        self._enumerated = False  # whether the last enumeration reached the end of the space

    def __contains__(self, architecture: Architecture) -> bool:
        """Whether the architecture itself is unseen; this is quick, as its network is not compared."""
        return architecture not in self._seen

    def is_new(self, architecture: Architecture) -> bool:
        """Whether the architecture is unseen and, with `networks`, its network too."""
        if architecture not in self:
            return False
        return self._seen_networks is None or network_key(self._space, architecture) not in self._seen_networks

    def see(self, architecture: Architecture) -> None:
        """Marks an architecture, and its network, as seen."""
        if architecture not in self._seen:
            self._seen.add(architecture)
            if self._seen_networks is not None:
                self._seen_networks.add(network_key(self._space, architecture))

    def propose(self, n: int, propose: Callable[[random.Random], Architecture | None]) -> Iterator[Architecture]:
        """Yields at most `n` proposals and marks each as seen.

        The k-th proposal of all has the same generator however many are asked for at once.

        Args:
            n: Number of proposals, from 0.
            propose: Makes one proposal with the generator it is given, or None when nothing is left.

        Raises:
            SpaceError: As `propose`.
        """
        for _ in range(n):
            architecture = propose(random.Random(f"{self._seed}/{self.num_proposed}"))
            if architecture is None:
                return
            self.num_proposed += 1
            self.see(architecture)
            yield architecture

    def draw(self, draw: Callable[[], Architecture], rng: random.Random) -> Architecture | None:
        """The first new architecture among some draws, else a uniform one of those that an enumeration finds.

        Args:
            draw: Draws an architecture; may raise Rejected.
            rng: Generator for the choice among enumerated ones.

        Returns:
            A new architecture, which is not yet marked as seen, or None where none is left.

        Raises:
            SpaceError: As `draw`.
        """
        for _ in range(TRIES):
            try:
                architecture = draw()
            except Rejected:
                continue
            if self.is_new(architecture):
                return architecture
        remaining = [architecture for architecture in self._remaining if self.is_new(architecture)]
        if not remaining and not self._enumerated:
            remaining = self._enumerate()
        self._remaining = remaining if len(remaining) < MOST_REMAINING else []
        return remaining[int(rng.random() * len(remaining))] if remaining else None

    def _enumerate(self) -> list[Architecture]:
        """The first new architectures in the order of the space, within the limits above."""
        new: list[Architecture] = []
        ends, rejected = all_ends(self._space), 0
        for end in itertools.islice(ends, len(self._seen) + MOST_ENUMERATED):
            rejected = rejected + 1 if end is None else 0
            if rejected == MOST_REJECTED:
                break
            if end is not None and self.is_new(end):
                new.append(end)
                if len(new) == MOST_REMAINING:
                    return new
        self._enumerated = not new or not any(True for _ in ends)
        return new

    def pool(
        self,
        draw: Callable[[], Architecture],
        size: int,
        rng: random.Random,
        leftovers: Iterable[Architecture] = (),
    ) -> list[Architecture]:
        """A pool of distinct unseen architectures for a predictor to choose from.

        Networks are not compared, because a key for each of many would take too long; check the chosen one with
        `is_new`.

        Args:
            draw: Draws an architecture; may raise Rejected.
            size: Size of the pool, from 1.
            rng: Generator for `Unseen.draw`, where all draws were seen.
            leftovers: Architectures of an earlier pool that come first; the seen ones are dropped.

        Returns:
            At most `size` architectures, from twice as many draws as are missing; at least one while one is left.
        """
        pool = dict.fromkeys(architecture for architecture in leftovers if architecture in self)
        for _ in range(2 * (size - len(pool))):
            try:
                architecture = draw()
            except Rejected:
                continue
            if architecture in self:
                pool[architecture] = None
                if len(pool) == size:
                    break
        if not pool:
            last = self.draw(draw, rng)
            return [] if last is None else [last]
        return list(pool)
