"""Local search over neighbourhoods with restarts (White et al., arXiv 2004.08996)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from nas.architecture import Architecture
from nas.errors import Rejected
from nas.protocols import SearchSpace
from nas.space import decide, num_options, replay, sample
from nas.trial import Trial

from .without_replacement import Unseen

TRIES = 10
"""Draws of the choices that a change opens, until the neighbour is allowed and unseen."""


@dataclass
class _Climb:
    """State of one climb.

    Attributes:
        tried: The centre and those of its neighbours that were taken; before there is a centre, the starting points.
        centre: The present architecture; None until a starting point has a score.
        value: Its score.
        changes: (choice, index) of the neighbours that are left to take.
    """

    tried: list[Architecture]
    centre: Architecture | None = None
    value: float = -math.inf
    changes: list[tuple[str, int]] = field(default_factory=list)


class LocalSearch:
    """White, Nolen & Savani, "Exploring the Loss Landscape in Neural Architecture Search" (arXiv 2004.08996).

    From a random architecture, all that differ in one choice are evaluated; the search moves to the best of them while
    it is better, and restarts at random from a local optimum. Where a change opens further choices, these are sampled,
    because their combinations may be too many. A seen architecture is not proposed again, but its score counts.

    While a neighbourhood waits for its last results, another climb begins; with one worker there is one climb at a
    time, as in the paper. The first climb starts from the best trial told before, if there is one. A trial without a
    finite score counts as evaluated and is never moved to.

    Args:
        space: Search space.
        seed: Seed of the proposals.
    """

    name = "local-search"

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        self._space = space
        self._unseen = Unseen(space, seed=seed)
        self._pending: set[Architecture] = set()
        self._scores: dict[Architecture, float] = {}
        self._climbs: list[_Climb] = []

    def ask(self, n: int) -> list[Architecture]:
        """Proposes the next `n` architectures, or those that are left.

        Raises:
            SpaceError: The space rejects everything that is drawn.
        """
        proposals = []
        for architecture in self._unseen.propose(n, self._propose):
            self._pending.add(architecture)  # before the next is proposed
            proposals.append(architecture)
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        """Records scores, whether they were asked for or not.

        Raises:
            SpaceError: A trial is of another space.
        """
        for trial in trials:
            self._pending.discard(trial.architecture)
            if math.isfinite(trial.value):
                replay(self._space, trial.architecture)
                self._unseen.see(trial.architecture)
                self._scores[trial.architecture] = trial.value

    def _propose(self, rng: random.Random) -> Architecture | None:
        if self._unseen.num_proposed == 0 and self._scores:
            self._climbs = [_Climb(tried=list(self._scores))]
        for climb in list(self._climbs):
            while (neighbour := self._neighbour(climb, rng)) is None and self._pending.isdisjoint(climb.tried):
                if not self._moved(climb, rng):
                    self._climbs.remove(climb)
                    break
            if neighbour is not None:
                return neighbour
        start = self._unseen.draw(lambda: sample(self._space, rng), rng)
        if start is not None:
            self._climbs.append(_Climb(tried=[start]))
        return start

    def _neighbour(self, climb: _Climb, rng: random.Random) -> Architecture | None:
        """The next unseen neighbour; seen ones on the way count as tried."""
        while climb.centre is not None and climb.changes:
            neighbour = self._changed(climb.centre, *climb.changes.pop(), rng)
            if neighbour is not None:
                climb.tried.append(neighbour)
                if neighbour in self._unseen:
                    return neighbour
        return None

    def _changed(self, centre: Architecture, name: str, index: int, rng: random.Random) -> Architecture | None:
        """The architecture with one choice changed and the choices that this opens sampled, unseen if some draw is;
        None where no draw is allowed."""
        picks, neighbour = {**centre.picks, name: index}, None

        def pick(choice: str, options: int) -> int:
            kept = picks.get(choice)
            return kept if kept is not None and kept < options else int(rng.random() * options)

        for _ in range(TRIES):
            try:
                neighbour = decide(self._space, pick)[1]
            except Rejected:
                continue
            if neighbour in self._unseen:
                break
        return neighbour

    def _moved(self, climb: _Climb, rng: random.Random) -> bool:
        """Moves a climb to the best that it tried; False where none is better than its centre."""
        best = max(climb.tried, key=self._score)
        if self._score(best) <= climb.value:
            return False
        sizes = num_options(self._space, best)
        climb.changes = [(name, i) for name, size in sizes.items() for i in range(size) if i != best.picks[name]]
        rng.shuffle(climb.changes)
        climb.centre, climb.value, climb.tried = best, self._score(best), [best]
        return True

    def _score(self, architecture: Architecture) -> float:
        return self._scores.get(architecture, -math.inf)
