"""Random search: the control that every other controller must beat at equal budget."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nas.architecture import Architecture, Trial
from nas.protocols import SearchSpace
from nas.space import sample


class RandomSearch:
    """Proposes independent random architectures, each choice uniform over its options. Learns nothing."""

    name = "random"

    def __init__(self, space: SearchSpace, *, seed: int = 0) -> None:
        self._space = space
        self._seed = seed
        self._asked = 0

    def ask(self, n: int) -> list[Architecture]:
        """The next `n` architectures. Raises SpaceError when the space rejects all that is drawn."""
        numbers = range(self._asked, self._asked + n)
        self._asked += n
        return [sample(self._space, random.Random(f"{self._seed}/{k}")) for k in numbers]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Ignores the trials: random search has nothing to learn from them."""
