"""Random search: the control that every other controller must beat at equal budget."""

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
    """Proposes random architectures without replacement, each choice uniform over its options. Learns nothing.

    Nothing is proposed twice while something is left; then `ask` gives less than it is asked for.
    """

    name = "random"

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        self._space = space
        self._unseen = Unseen(space, seed=seed)

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures, or what is left. Raises SpaceError when the space rejects all that is drawn."""
        return list(self._unseen.propose(n, self._propose))

    def tell(self, trials: Sequence[Trial]) -> None:
        """What has a score need not be proposed, asked for or not. Raises SpaceError for trials of another space."""
        for trial in trials:
            if math.isfinite(trial.value):
                replay(self._space, trial.architecture)
                self._unseen.see(trial.architecture)

    def _propose(self, rng: random.Random) -> Architecture | None:
        return self._unseen.draw(lambda: sample(self._space, rng), rng)
