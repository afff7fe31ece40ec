"""Every architecture once, in an order that covers the space evenly wherever it is broken off."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.protocols import SearchSpace
from nas.space import decide, num_options, sample
from nas.trial import Trial

MOST_REJECTED = 10_000
"""Rejected in a row, after which nothing allowed is taken to be left."""

Walk = list[tuple[int, int]]
"""The choices of an architecture in order: the number of options, and the index of the one taken."""


class Grid:
    """Proposes every architecture once, the options of each choice as evenly as can be.

    After the same choices, an option comes as often as any other, up to one, until all that is behind it has come. Of
    options that came equally often there, the one that this choice has taken least of all comes next, and then luck
    decides. So choices that do not depend on each other are covered as by Latin hypercubes (McKay, Beckman & Conover,
    1979), from the first few proposals on. Nothing is listed ahead, so the size of the space does not matter; when all
    has come, `ask` gives less than it is asked for. Scores are ignored.
    """

    name = "grid"

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        self._space, self._seed, self._asked = space, seed, 0
        self._tree = Tree()
        self._taken: dict[tuple[str, int], list[int]] = {}
        self._found = False

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures, or what is left. Raises SpaceError when the space rejects all that is tried."""
        found: list[Architecture] = []
        while len(found) < n and (architecture := self._propose(random.Random(f"{self._seed}/{self._asked}"))):
            self._asked += 1
            found.append(architecture)
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        """What has a score need not be proposed, asked for or not. Raises SpaceError for trials of another space."""
        for trial in trials:
            if math.isfinite(trial.value):
                sizes = num_options(self._space, trial.architecture)
                walk = [(options, trial.architecture.picks[name]) for name, options in sizes.items()]
                if walk not in self._tree:
                    self._tree.add(walk)
                self._found = True

    def _propose(self, rng: random.Random) -> Architecture | None:
        for _ in range(MOST_REJECTED):
            if self._tree.complete:
                break
            try:
                architecture = self._walk(rng)
            except Rejected:
                continue
            self._found = True
            return architecture
        if not self._found:
            sample(self._space, rng)  # raises, with what the space has against its architectures
        return None

    def _walk(self, rng: random.Random) -> Architecture:
        walk: Walk = []
        here = self._tree.root

        def pick(name: str, options: int) -> int:
            nonlocal here
            node = _node(here, options)
            taken = self._taken.setdefault((name, options), [0] * options)
            left = [index for index in range(options) if node.behind[index] != COMPLETE]
            index = min(left, key=lambda i: (node.walks[i], taken[i], rng.random()))
            taken[index] += 1
            here = node.behind[index]
            walk.append((options, index))
            return index

        try:
            return decide(self._space, pick)[1]
        finally:
            self._tree.add(walk)


COMPLETE = ()


@dataclass(frozen=True)
class Node:
    """A choice that was made at least twice after the same ones: for each option how many walks took it, and what is
    behind it, as in `Tree.root`."""

    walks: list[int]
    behind: list[Node | tuple[int, ...] | None]


class Tree:
    """The walks that were taken through a space, and what of it is complete; of a walk, only what others share is kept
    as nodes.

    root  None: no walk came here. A tuple: one did, with these indices up to its last choice of several options; so an
          empty one, COMPLETE, is what has nothing else behind it. A Node: several did, or one and something is complete
    """

    def __init__(self) -> None:
        self.root: Node | tuple[int, ...] | None = None

    @property
    def complete(self) -> bool:
        """Whether every walk was taken."""
        return self.root == COMPLETE

    def __contains__(self, walk: Walk) -> bool:
        here = self.root
        for place, (_, index) in enumerate(walk):
            if not isinstance(here, Node):
                return here is not None and here in (COMPLETE, _tail(walk[place:]))
            here = here.behind[index]
        return here == COMPLETE

    def add(self, walk: Walk) -> None:
        """Adds a walk to its end, allowed or rejected."""
        trail: list[tuple[Node, int]] = []
        here = self.root
        while here:
            options, index = walk[len(trail)]
            node = _node(here, options)
            node.walks[index] += 1
            trail.append((node, index))
            here = node.behind[index]
        here = _tail(walk[len(trail) :]) if here is None else here
        for node, index in reversed(trail):
            node.behind[index] = here
            here = node if any(behind != COMPLETE for behind in node.behind) else COMPLETE
        self.root = here


def _node(here: Node | tuple[int, ...] | None, options: int) -> Node:
    """What is here, as a node of so many options."""
    if isinstance(here, Node):
        return here
    node = Node([0] * options, [None] * options)
    if here:
        node.walks[here[0]] = 1
        node.behind[here[0]] = here[1:]
    return node


def _tail(walk: Walk) -> tuple[int, ...]:
    last = max((place for place, (options, _) in enumerate(walk, 1) if options > 1), default=0)
    return tuple(index for _, index in walk[:last])
