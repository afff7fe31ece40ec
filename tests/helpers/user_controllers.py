"""Source of a user's own controller, sound or with a fault at a chosen place."""

from __future__ import annotations

MINE = """import random
from nas.architecture import Architecture
from nas.space import mutate, sample

class Mine:
    def __init__(self, space, {signature}):
        {init}
        self.space, self.seed, self.asked = space, {seed}, 0

    def ask(self, n):
        first, self.asked = self.asked, self.asked + n
        asked = [sample(self.space, random.Random(f"{{self.seed}}/{{k}}")) for k in range(first, self.asked)]
        {ask}
        return asked

    def tell(self, trials):
        {tell}
"""


def mine(**changed: str) -> str:
    """The source of a sound controller, with other code at the named places."""
    usual = {"signature": "*, seed: int = 0, greed: float = 0.5", "init": "pass", "seed": "seed", "ask": "pass"}
    return MINE.format(**{**usual, "tell": "pass", **changed})
