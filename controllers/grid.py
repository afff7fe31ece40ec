"""Grid search in an order that covers the space evenly at every budget."""

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
"""Rejections in a row after which the space counts as exhausted."""

Walk = list[tuple[int, int]]
"""The choices of an architecture in order: (number of options, index of the option taken)."""
COMPLETE = ()
"""Subtree of which every walk was taken."""


class Grid:
    """Proposes every architecture once, the options of each choice as evenly as possible.

    After the same choices, the options are taken equally often, to within one, until a subtree is complete. Among those
    taken equally often there, the option that this choice has taken least often anywhere comes next; the remaining ties
    are broken at random. Independent choices are thus covered as by Latin hypercubes (McKay, Beckman & Conover, 1979)
    from the first few proposals on. The space is not enumerated in advance, so its size does not matter; when it is
    exhausted, `ask` returns fewer than it is asked for. Scores are ignored.

    Args:
        space: Search space.
        seed: Seed of the random tie-breaking.
    """

    name = "grid"

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        self._space, self._seed, self._num_asked = space, seed, 0
        self._tree = Tree()
        self._taken: dict[tuple[str, int], list[int]] = {}
        self._any_allowed = False

    def ask(self, n: int) -> list[Architecture]:
        """Proposes the next `n` architectures, or those that are left.

        Raises:
            SpaceError: The space rejects everything that is tried.
        """
        proposals: list[Architecture] = []
        while len(proposals) < n:
            architecture = self._propose(random.Random(f"{self._seed}/{self._num_asked}"))
            if architecture is None:
                break
            self._num_asked += 1
            proposals.append(architecture)
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        """Excludes scored architectures from later proposals, whether they were asked for or not.

        Raises:
            SpaceError: A trial is of another space.
        """
        for trial in trials:
            if math.isfinite(trial.value):
                sizes = num_options(self._space, trial.architecture)
                walk = [(options, trial.architecture.picks[name]) for name, options in sizes.items()]
                if walk not in self._tree:
                    self._tree.add(walk)
                self._any_allowed = True

    def _propose(self, rng: random.Random) -> Architecture | None:
        for _ in range(MOST_REJECTED):
            if self._tree.complete:
                break
            try:
                architecture = self._walk(rng)
            except Rejected:
                continue
            self._any_allowed = True
            return architecture
        if not self._any_allowed:
            sample(self._space, rng)  # raises SpaceError with the reason of the rejections
        return None

    def _walk(self, rng: random.Random) -> Architecture:
        walk: Walk = []
        subtree = self._tree.root

        def pick(name: str, options: int) -> int:
            nonlocal subtree
            node = _node(subtree, options)
            taken = self._taken.setdefault((name, options), [0] * options)
            incomplete = [index for index in range(options) if node.subtrees[index] != COMPLETE]
            index = min(incomplete, key=lambda i: (node.walks[i], taken[i], rng.random()))
            taken[index] += 1
            subtree = node.subtrees[index]
            walk.append((options, index))
            return index

        try:
            return decide(self._space, pick)[1]
        finally:
            self._tree.add(walk)


@dataclass(frozen=True)
class Node:
    """A choice that at least two walks reached by the same choices.

    Attributes:
        walks: Number of walks that took each option, (options,).
        subtrees: What follows each option, as `Tree.root`, (options,).
    """

    walks: list[int]
    subtrees: list[Node | tuple[int, ...] | None]


class Tree:
    """Prefix tree of the walks taken through a space, in which complete subtrees are collapsed.

    Attributes:
        root: The tree. None: no walk. A tuple: a single walk, by its indices up to the last choice with several
            options; the empty tuple, `COMPLETE`, therefore also stands for a subtree with nothing left. A Node:
            several walks, or one beside complete subtrees.
    """

    def __init__(self) -> None:
        self.root: Node | tuple[int, ...] | None = None

    @property
    def complete(self) -> bool:
        """Whether every walk was taken."""
        return self.root == COMPLETE

    def __contains__(self, walk: Walk) -> bool:
        subtree = self.root
        for position, (_, index) in enumerate(walk):
            if not isinstance(subtree, Node):
                return subtree is not None and subtree in (COMPLETE, _tail(walk[position:]))
            subtree = subtree.subtrees[index]
        return subtree == COMPLETE

    def add(self, walk: Walk) -> None:
        """Adds a walk to its end, allowed or rejected."""
        path: list[tuple[Node, int]] = []
        subtree = self.root
        while subtree:
            options, index = walk[len(path)]
            node = _node(subtree, options)
            node.walks[index] += 1
            path.append((node, index))
            subtree = node.subtrees[index]
        subtree = _tail(walk[len(path) :]) if subtree is None else subtree
        for node, index in reversed(path):
            node.subtrees[index] = subtree
            subtree = node if any(each != COMPLETE for each in node.subtrees) else COMPLETE
        self.root = subtree


def _node(subtree: Node | tuple[int, ...] | None, options: int) -> Node:
    """A subtree as a node with so many options."""
    if isinstance(subtree, Node):
        return subtree
    node = Node([0] * options, [None] * options)
    if subtree:
        node.walks[subtree[0]] = 1
        node.subtrees[subtree[0]] = subtree[1:]
    return node


def _tail(walk: Walk) -> tuple[int, ...]:
    last = max((position for position, (options, _) in enumerate(walk, 1) if options > 1), default=0)
    return tuple(index for _, index in walk[:last])
