"""A commented config that fits a person's data and this machine."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ..bounds import check_number
from ..config import reading
from ..config.parts import build
from ..errors import ConfigError
from ..space.sampling import sample
from .data import OwnData, look_at

FAMILIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "images": {"space": {"name": "few-shot-cell", "widths": [8, 12, 16], "depths": [2, 3]}, "baseline": "conv4"},
    "series": {"space": {"name": "mlp", "widths": [20, 40, 80], "max_depth": 3}, "baseline": "mlp40"},
    "vectors": {"space": {"name": "mlp", "widths": [10, 20, 40, 80], "max_depth": 3}, "baseline": "mlp40"},
}
"""Space and baseline network for each form of inputs."""
ANIL: Final = 'name = "anil", inner_lr = 0.1, steps = 5, outer_lr = 0.005'
MAML: Final = 'name = "maml", order = 1, inner_lr = 0.01, steps = 5, outer_lr = 0.003'
TRIALS, BUDGET, FINAL_BUDGET = 40, 60, 150
FEWEST_TRIALS: Final = 10
FINALS: Final = 3 * 5 + 5 + 5 + 3
"""Meta-trainings of the finals: three finalists, winner, baseline network, and the median candidate."""


@dataclass(frozen=True)
class FirstConfig:
    """A config that was written.

    Attributes:
        path: Its file.
        about: What the data are, one line each.
        trials: Candidates of its search.
        minutes: Expected minutes of its search on this machine.
    """

    path: Path
    about: tuple[str, ...]
    trials: int
    minutes: float


def first_config(data: Path, out: Path | None = None, minutes: float = 15.0) -> FirstConfig:
    """Writes a config for a folder or file of data.

    Args:
        data: A folder of class folders of images, a file of series, or a table.
        out: The file to write; None for the name of the data with .toml, in the current folder.
        minutes: Time that the search should take at most, as far as ten candidates allow.

    Raises:
        ConfigError: The file exists, or nothing can be made of the data.
        DataError: The data cannot be read, or have too few classes.
    """
    check_number("nas init", "minutes", minutes, 0.0, 1e6, above=True)
    data = Path(os.path.expanduser(data))
    target = Path(f"{data.resolve().stem or 'tasks'}.toml") if out is None else out
    if target.exists():
        raise ConfigError(f"{target} exists; remove it, or give another file with --out")
    own = look_at(data)
    workers = os.cpu_count() or 1
    step_s, task_s = _measured(_text(own, data, target, TRIALS, workers, 0.0))
    trials = TRIALS
    while trials > FEWEST_TRIALS and _minutes(trials, workers, step_s, task_s) > minutes:
        trials -= 1
    expected = _minutes(trials, workers, step_s, task_s)
    text = _text(own, data, target, trials, workers, expected)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}; give another file with --out") from error
    return FirstConfig(target, own.about, trials, expected)


def _minutes(trials: int, workers: int, step_s: float, task_s: float) -> float:
    search = trials * (BUDGET * step_s + 100 * task_s)
    finals = FINALS * (FINAL_BUDGET * step_s + 600 * task_s)
    return (search + finals) / min(workers, trials) / 60 + 0.3


def _measured(text: str) -> tuple[float, float]:
    """Seconds of an outer step and of the scoring of a task, by a short training of one candidate."""
    import random
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_text(text, encoding="utf-8")
        parts = build(reading.load(str(path), ["evaluator.validation_tasks=10"]))
    architecture = sample(parts.space, random.Random(0))
    times = []
    for steps, tasks in ((1, 10), (1, 10), (6, 10), (1, 60)):
        evaluator = replace(parts.evaluator, validation_tasks=tasks)  # type: ignore[type-var]  # a dataclass: meta
        start = time.perf_counter()
        evaluator.evaluate(architecture, steps, 0)
        times.append(time.perf_counter() - start)
    return max(0.0, times[2] - times[1]) / 5, max(0.0, times[3] - times[1]) / 50


def _text(own: OwnData, data: Path, target: Path, trials: int, workers: int, minutes: float) -> str:
    from jinja2 import Environment, StrictUndefined

    template = (files("nas.init") / "templates" / "config.toml.j2").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # no HTML
    regression = own.kind == "regression"
    tasks = {"name": _family(own), "path": str(data.absolute()), **own.tasks}
    return environment.from_string(template).render(
        path=_one_line(str(data)),
        about=[_one_line(line) for line in own.about],
        minutes=f"{math.ceil(minutes)} min",
        workers=f"{workers} processor cores",
        name=_one_line(str(target)),
        tasks=[(key, _toml(value), own.comments.get(key, "")) for key, value in tasks.items()],
        space=[(key, _toml(value), "") for key, value in FAMILIES[own.form]["space"].items()],
        evaluator=[("norm", '"none"', ""), ("head_norm", "false", "")] if regression else [],
        learner=MAML if regression else ANIL,
        budget=BUDGET,
        final_budget=FINAL_BUDGET,
        trials=trials,
        num_workers=workers,
        baseline=FAMILIES[own.form]["baseline"],
    )


def _family(own: OwnData) -> str:
    if own.form == "series":
        return "sequences"
    return "arrays" if {"label", "targets"} & set(own.tasks) else "image-folder"


def _toml(value: Any) -> str:
    """A value as TOML, whose strings, numbers, booleans and lists of these are JSON's."""
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
