"""Random search without replacement, the random-search control of every other controller."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from nas.architecture import Architecture
from nas.protocols import SearchSpace
from nas.space import replay, sample
from nas.trial import Trial

from .without_replacement import Unseen


class RandomSearch:
    """Proposes random architectures without replacement, each choice uniform over its options; learns nothing.

    No architecture is proposed twice; when nothing is left, `ask` returns fewer than it is asked for.

    Args:
        space: Search space.
        seed: Seed of the proposals.
    """

    name = "random"

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        self._space = space
        self._unseen = Unseen(space, seed=seed)

    def ask(self, n: int) -> list[Architecture]:
        """Proposes the next `n` architectures, or those that are left.

        Raises:
            SpaceError: The space rejects everything that is drawn.
        """
        return list(self._unseen.propose(n, self._propose))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Excludes scored architectures from later proposals, whether they were asked for or not.

        Raises:
            SpaceError: A trial is of another space.
        """
        for trial in trials:
            if math.isfinite(trial.value):
                replay(self._space, trial.architecture)
                self._unseen.see(trial.architecture)

    def _propose(self, rng: random.Random) -> Architecture | None:
        return self._unseen.draw(lambda: sample(self._space, rng), rng)
