"""Local search: all neighbours of an architecture are tried, the best of them is next, until none is better."""

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
"""Draws of what a change opens, until one is allowed and was not proposed before."""


@dataclass
class _Climb:
    """An architecture and its score, the changes of it that are left, and what was tried: itself and its neighbours.

    Before the first of them has a score there is no centre.
    """

    tried: list[Architecture]
    centre: Architecture | None = None
    value: float = -math.inf
    changes: list[tuple[str, int]] = field(default_factory=list)


class LocalSearch:
    """White, Nolen & Savani, "Exploring the Loss Landscape in Neural Architecture Search" (arXiv 2004.08996).

    From a random architecture, all those that differ in one choice are evaluated; the search moves to the best of them
    while it is better, and starts again elsewhere from a local optimum. Where a change opens choices, they are drawn,
    for all that could be made of them may be too many. What was proposed before is not proposed again, but its score
    counts.

    Asynchronous: while a neighbourhood waits for its last results, another climb is begun. With one worker there is one
    climb at a time, as in the paper. The first begins from the best of what was told before, if anything was. A trial
    without a finite score counts as evaluated and is never moved to.
    """

    name = "local-search"

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        self._space = space
        self._unseen = Unseen(space, seed=seed)
        self._pending: set[Architecture] = set()
        self._values: dict[Architecture, float] = {}
        self._climbs: list[_Climb] = []

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures, or what is left. Raises SpaceError when the space rejects all that is drawn."""
        found = []
        for architecture in self._unseen.propose(n, self._propose):
            self._pending.add(architecture)  # before the next is proposed
            found.append(architecture)
        return found

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes note of scores, asked for or not. Raises SpaceError for trials of another space."""
        for trial in trials:
            self._pending.discard(trial.architecture)
            if math.isfinite(trial.value):
                replay(self._space, trial.architecture)
                self._unseen.see(trial.architecture)
                self._values[trial.architecture] = trial.value

    def _propose(self, rng: random.Random) -> Architecture | None:
        if self._unseen.asked == 0 and self._values:
            self._climbs = [_Climb(tried=list(self._values))]
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
        """The next neighbour that was not proposed; those that were, on the way, are tried."""
        while climb.centre is not None and climb.changes:
            neighbour = self._changed(climb.centre, *climb.changes.pop(), rng)
            if neighbour is not None:
                climb.tried.append(neighbour)
                if neighbour in self._unseen:
                    return neighbour
        return None

    def _changed(self, centre: Architecture, name: str, index: int, rng: random.Random) -> Architecture | None:
        """The architecture with one choice changed, and what this opens drawn: one that was not proposed, if any of
        some draws is; None where none is allowed."""
        picks, found = {**centre.picks, name: index}, None

        def pick(choice: str, options: int) -> int:
            kept = picks.get(choice)
            return kept if kept is not None and kept < options else int(rng.random() * options)

        for _ in range(TRIES):
            try:
                found = decide(self._space, pick)[1]
            except Rejected:
                continue
            if found in self._unseen:
                break
        return found

    def _moved(self, climb: _Climb, rng: random.Random) -> bool:
        """Moves a climb to the best that it tried; False where nothing was better than its centre."""
        best = max(climb.tried, key=self._value)
        if self._value(best) <= climb.value:
            return False
        sizes = num_options(self._space, best)
        climb.changes = [(name, i) for name, size in sizes.items() for i in range(size) if i != best.picks[name]]
        rng.shuffle(climb.changes)
        climb.centre, climb.value, climb.tried = best, self._value(best), [best]
        return True

    def _value(self, architecture: Architecture) -> float:
        return self._values.get(architecture, -math.inf)
