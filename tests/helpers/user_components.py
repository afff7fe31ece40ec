"""Source of a user's own controller, sound or with a fault at a chosen place, and the config of a quick search."""

from __future__ import annotations

CONFIG = """
[space]
name = "mlp"
max_depth = 1
[controller]
name = "random"
[tasks]
name = "sinusoid"
shots = 4
queries = 4
[evaluator]
learner = { name = "maml", inner_lr = 0.01, steps = 2 }
norm = "none"
tasks_per_step = 2
validation_tasks = 4
[search]
device = "cpu"
[final]
baseline = "mlp40"
"""
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
