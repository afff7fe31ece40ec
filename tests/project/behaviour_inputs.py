"""Configs, tables, images and command lines whose outputs `tests/project/behaviour.py` records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nas.space import enumerate_all

COMMANDS = ("search", "compare", "resume", "show", "report", "export", "adapt", "list", "check")

META = """
[space]
name = "few-shot-cell"
widths = [4, 6]
depths = [1, 2]
[controller]
name = "evolution"
population = 3
tournament = 2
[tasks]
name = "glyphs"
ways = 3
shots = 1
queries = 3
[evaluator]
learner = { name = "anil", inner_lr = 0.1, steps = 2 }
budget = 4
tasks_per_step = 2
validation_tasks = 8
[search]
trials = 5
workers = 1
device = "cpu"
[final]
top = 2
seeds = 2
budget = 4
validation_tasks = 8
tasks = 8
baseline = "conv4"
"""
MLP = """
[space]
name = "mlp"
widths = [4, 8]
max_depth = 2
[controller]
name = "reinforce"
batch = 2
hidden = 4
layers = 1
[tasks]
name = "sinusoid"
shots = 4
queries = 4
[evaluator]
learner = { name = "maml", inner_lr = 0.01, steps = 2 }
norm = "none"
budget = 4
tasks_per_step = 2
validation_tasks = 4
[search]
trials = 5
workers = 1
device = "cpu"
[final]
top = 1
seeds = 2
budget = 3
validation_tasks = 4
tasks = 4
baseline = "mlp40"
"""
TABULAR = """
[space]
name = "mlp"
widths = [4, 8, 16, 32]
max_depth = 4
[controller]
name = "evolution"
population = 6
tournament = 2
[evaluator]
name = "tabular"
path = "table.csv"
score = "val"
report = "test"
cost = "cost"
metrics = ["parameters", "flops"]
budget = 4
[search]
trials = 40
workers = 1
[compare.small]
name = "regularized-evolution"
population = 4
tournament = 2
"""
RUNGS = ("search.fidelity.rungs=2", "search.fidelity.eta=2")
SEARCHES: dict[str, tuple[str, tuple[str, ...]]] = {
    "glyphs": ("glyphs.toml", ("search.control=random",)),
    "sinusoid": ("sinusoid.toml", ()),
    "evolution, rungs": (
        "sinusoid.toml",
        ("--controller", "evolution", "controller.population=3", "controller.tournament=2", *RUNGS),
    ),
    "reinforce, rungs": ("sinusoid.toml", ("search.fidelity.rungs=3", "search.fidelity.eta=2", "search.trials=8")),
    "evolution, constraints": ("glyphs.toml", ("search.constraints.parameters=[200,900]",)),
    "evolution, two objectives": (
        "glyphs.toml",
        ('controller.objectives=["parameters","flops"]', "search.fidelity.rungs=2", "search.fidelity.eta=2"),
    ),
    "zero-cost": ("glyphs.toml", ("evaluator.name=zero-cost", "evaluator.score=naswot")),
    "own space": ("glyphs.toml", ("--space", "my_space.py:TinyConvNet")),
    "table": ("tabular.toml", ()),
    "table, seconds": ("tabular.toml", ("search.seconds=9", "search.control=random")),
    "table, rungs": ("tabular.toml", ("search.fidelity.rungs=3", "search.fidelity.eta=2")),
    "table, objectives": ("tabular.toml", ('controller.objectives=["parameters"]', "search.repeats=evaluated")),
}
"""By name, the config, then options of the command with their values or overrides."""
ASKED_AGAIN = ("glyphs", "reinforce, rungs", "table, rungs")
"""Searches of which `report` and `resume` are recorded too, when they are done."""

DECLARED: dict[str, tuple[str, ...]] = {
    "list": ("list",),
    "list controllers": ("list", "controllers"),
    "check mlp": ("check", "mlp", "--inputs", "1", "--outputs", "1", "--learner", "maml"),
    "check few-shot-cell": ("check", "few-shot-cell", "--inputs", "1,8,8", "--outputs", "2"),
    "check an own space": ("check", "my_space.py:TinyConvNet"),
    "check an own controller": ("check", "my_controller.py:Walk"),
    "check random": ("check", "random"),
}
BAD: tuple[tuple[str, ...], ...] = (
    ("search", "nowhere.toml"),
    ("search", "quickstrat"),
    ("search", "broken.toml"),
    ("search", "glyphs.toml", "--name", "../x"),
    ("search", "glyphs.toml", "--name", "glyphs"),
    ("search", "glyphs.toml", "--set", "search.trails=4"),
    ("search", "glyphs.toml", "--set", "search.trials=0"),
    ("search", "glyphs.toml", "--set", "search.trials=four"),
    ("search", "glyphs.toml", "--set", "nothing"),
    ("search", "glyphs.toml", "--set", "space.name=few-shot-sell"),
    ("search", "glyphs.toml", "--set", "space.widths=[0]"),
    ("search", "glyphs.toml", "--set", "evaluator.learner=mamml"),
    ("search", "glyphs.toml", "--set", "controller.tournament=9"),
    ("search", "glyphs.toml", "--set", "tasks.ways=100000"),
    ("search", "glyphs.toml", "--set", "final.baseline=conv44"),
    ("search", "sinusoid.toml", "--set", "search.constraints.parameters=3"),
    ("search", "glyphs.toml", "--set", "search.fidelity.rungs=9"),
    ("search", "glyphs.toml", "--space", "my_space.py:Nothing"),
    ("search", "glyphs.toml", "--space", "not_python.py:Space"),
    ("search", "glyphs.toml", "--controller", "my_space.py:TinyConvNet"),
    ("search", "tabular.toml", "--set", "evaluator.path=nowhere.csv"),
    ("search", "tabular.toml", "--set", "evaluator.report=tset"),
    ("search", "--unknown"),
    ("compare", "tabular.toml", "--controllers", "random,evolutoin"),
    ("compare", "tabular.toml", "--seeds", "0"),
    ("compare", "tabular.toml", "--reach", "much"),
    ("show", "nothing"),
    ("resume", "nothing"),
    ("report", "..."),
    ("export", "glyphs", "--out", "support"),
    ("export", "table", "--out", "table-net"),
    ("adapt", "empty", "--support", "support"),
    ("adapt", "glyphs-net", "--support", "empty"),
    ("adapt", "sinusoid-net", "--support", "tabular.toml"),
    ("list", "rooms"),
    ("check", "nowhere.py:Space"),
    ("check", "mlp", "--inputs", "1,x"),
    ("frobnicate",),
)
OWN_SPACE = """
class TinyConvNet:
    name = "tiny-conv"

    def decide(self, choose):
        depth = choose("depth", [2, 3])
        return [(choose(f"{i}.kernel", [1, 3]), choose(f"{i}.width", [4, 8])) for i in range(depth)]

    def build(self, spec, task):
        from torch import nn

        layers, channels = [], task.input_shape[0]
        for kernel, width in spec:
            layers += [nn.Conv2d(channels, width, kernel, padding="same"), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
            channels = width
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, task.num_outputs))
"""
OWN_CONTROLLER = '''
import random

from nas.space import sample


class Walk:
    """Draws at random."""

    def __init__(self, space, *, seed=0):
        self.space, self.seed, self.asked = space, seed, 0

    def ask(self, n):
        self.asked += n
        return [sample(self.space, random.Random(f"{self.seed}/{k}")) for k in range(self.asked - n, self.asked)]

    def tell(self, trials):
        pass
'''


def table_of(space: Any, path: Path) -> Path:
    """Writes a table of made-up values for all architectures of a space, for the evaluator `tabular`.

    Values are digests of picks, so they are the same on every machine. In one row of ten `val` is not a number, so that
    the trial fails.
    """
    lines = ["architecture,val,val_1,val_2,val_4,test,parameters,flops,cost"]
    for architecture in enumerate_all(space):
        picks = json.dumps(architecture.to_json())
        drawn = [_drawn(f"{sorted(architecture.picks.items())} {column}") for column in range(8)]
        values = [f"{value:.6f}" for value in drawn]
        if drawn[0] < 0.1:
            values[0] = "unknown"
        quoted = picks.replace('"', '""')
        lines.append(f'"{quoted}",' + ",".join(values))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def draw_examples(place: Path) -> None:
    """Makes a folder with two images of each of three classes, black on white, 28 × 28."""
    from PIL import Image, ImageDraw

    for kind, name in enumerate(("bar", "ring", "cross")):
        (place / name).mkdir(parents=True)
        for shift in range(2):
            image = Image.new("L", (28, 28), 255)
            draw = ImageDraw.Draw(image)
            shapes: list[Callable[[], None]] = [
                lambda d=draw, s=shift: d.line((14 + s, 3, 14 + s, 25), fill=0, width=2),
                lambda d=draw, s=shift: d.ellipse((6 + s, 6, 20 + s, 20), outline=0, width=2),
                lambda d=draw, s=shift: d.line((5, 5 + s, 23, 23), fill=0, width=2),
            ]
            shapes[kind]()
            image.save(place / name / f"{shift}.png")


def _drawn(text: str) -> float:
    """A number in [0, 1) that is the same for the same text on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
