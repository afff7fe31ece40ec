"""No architecture is proposed twice while there is one that was not proposed yet."""

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
"""Draws of what was seen before, until the space is walked through for what was not."""
LEFT = 1000
"""Of so many unseen architectures, the first of the walk, one is drawn."""
WALKED = 20_000
"""So many are looked at beyond those seen. Where all are networks that were seen, as they may be in a vast space of few
networks, none counts as left."""
REJECTED = 2000
"""Where so many in a row are rejected, each of which may be a network that had to be built, no more are looked at."""


class Unseen:
    """What was proposed or told of a space, and how to propose something else.

    With `networks`, where the space draws graphs, what is the same network as one that was seen counts as seen too.
    `asked` counts what `propose` gave.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0, networks: bool = False) -> None:
        self._space, self._seed = space, seed
        self.asked = 0
        self._seen: set[Architecture] = set()
        self._networks: set[str] | None = set() if networks and isinstance(space, GraphSpace) else None
        self._left: list[Architecture] = []  # those of the last walk, where it found few
        self._whole = False  # whether no others are left

    def __contains__(self, architecture: Architecture) -> bool:
        """Whether it was not seen itself; that is quick."""
        return architecture not in self._seen

    def is_new(self, architecture: Architecture) -> bool:
        """Whether neither it nor, with `networks`, the same network was seen."""
        if architecture not in self:
            return False
        return self._networks is None or network_key(self._space, architecture) not in self._networks

    def see(self, architecture: Architecture) -> None:
        """It counts as seen from now on."""
        if architecture not in self._seen:
            self._seen.add(architecture)
            if self._networks is not None:
                self._networks.add(network_key(self._space, architecture))

    def propose(self, n: int, propose: Callable[[random.Random], Architecture | None]) -> Iterator[Architecture]:
        """At most `n`, each seen as it comes and from a generator of its own, until `propose` gives None.

        The k-th of all has the same generator however many are asked for at once. Raises SpaceError as `propose`.
        """
        for _ in range(n):
            architecture = propose(random.Random(f"{self._seed}/{self.asked}"))
            if architecture is None:
                return
            self.asked += 1
            self.see(architecture)
            yield architecture

    def draw(self, draw: Callable[[], Architecture], rng: random.Random) -> Architecture | None:
        """The first unseen one of some draws; else one of those that are left, uniformly; None where none is left.

        A draw may raise Rejected. Nothing becomes seen. Raises SpaceError as `draw`.
        """
        for _ in range(TRIES):
            try:
                architecture = draw()
            except Rejected:
                continue
            if self.is_new(architecture):
                return architecture
        left = [architecture for architecture in self._left if self.is_new(architecture)]
        if not left and not self._whole:
            left = self._walk()
        self._left = left if len(left) < LEFT else []
        return left[int(rng.random() * len(left))] if left else None

    def _walk(self) -> list[Architecture]:
        """The first unseen ones in the order of the space, as far as it is looked at."""
        left: list[Architecture] = []
        ends, rejected = all_ends(self._space), 0
        for end in itertools.islice(ends, len(self._seen) + WALKED):
            rejected = rejected + 1 if end is None else 0
            if rejected == REJECTED:
                break
            if end is not None and self.is_new(end):
                left.append(end)
                if len(left) == LEFT:
                    return left
        self._whole = not left or not any(True for _ in ends)
        return left

    def pool(
        self,
        draw: Callable[[], Architecture],
        size: int,
        rng: random.Random,
        before: Iterable[Architecture] = (),
    ) -> list[Architecture]:
        """At most `size` different ones: those of `before`, and of twice as many draws as are missing; at least one
        while one is left.

        None was seen, but it may be the same network as one that was: a key for each of many would take too long. So
        the one that is chosen must be asked for with `is_new`."""
        found = dict.fromkeys(architecture for architecture in before if architecture in self)
        for _ in range(2 * (size - len(found))):
            try:
                architecture = draw()
            except Rejected:
                continue
            if architecture in self:
                found[architecture] = None
                if len(found) == size:
                    break
        if not found:
            last = self.draw(draw, rng)
            return [] if last is None else [last]
        return list(found)
