"""Architecture search with ordinary training, as Zoph & Le do it (arXiv 1611.01578), on Fashion-MNIST.

    python -m nas.experiments.reproduce.supervised_nas [--workers N] [--out FILE] [--json]

Random search, evolution and REINFORCE have the same number of candidates. The best candidate of each search is trained
again with other seeds and measured on validation images that no search has seen; by these the searches are compared,
paired by seed. Test images are used once, for the best network of all, the best of random search, and the baseline.
All searches train with the same seed, so they share the scores of networks that several of them propose.

About 35 minutes on two free processor cores. The work folder keeps finished scores, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from nas import config as configs
from nas.analysis.intervals import Estimate, average, compare
from nas.architecture import Architecture
from nas.config import Config, Table
from nas.config.parts import build
from nas.errors import ConfigError
from nas.evaluators import SupervisedEvaluator
from nas.executors import InlineExecutor
from nas.search import SearchOptions, search
from nas.space import sample
from nas.store import MemoryStore
from nas.task import FRESH, Bank

from ..command_line import (
    Machine,
    add_output_options,
    explained,
    machine,
    machine_line,
    print_table,
    resumable,
    whole,
)
from .kept_scores import KeptScores
from .paired_errors import Mean, mean_of
from .settings import read_settings
from .workers import finished, worker_processes

COMMAND = "python -m nas.experiments.reproduce.supervised_nas"
RANDOM = "random"
TRAINING_SEED = 0
"""Seed of the trainings of all searches; the later measurements have the seeds from 1 on."""
Count = Annotated[int, Field(ge=1, le=10**6)]


class FreshTable(Table):
    """Measurement of the best candidate of each search: epochs, number of trainings, and fresh validation images."""

    budget: Count
    seeds: Count
    examples: Annotated[int, Field(ge=2, le=10**6)]


class TestTable(FreshTable):
    """Measurement on test images, with training images and the space of the baseline."""

    train_examples: Count
    baseline: str


class Settings(Table):
    """All settings; `controllers` has the options of each controller by name."""

    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=2)]
    space: dict[str, Any]
    tasks: dict[str, Any]
    evaluator: dict[str, Any]
    search: dict[str, Any]
    controllers: dict[str, dict[str, Any]]
    fresh: FreshTable
    test: TestTable

    def config(self, controller: str, seed: int = 0, tasks: Mapping[str, Any] | None = None) -> Config:
        """The config of one search. Raises ConfigError where it cannot be used."""
        return configs.from_json(
            {
                "space": self.space,
                "tasks": {**self.tasks, **(tasks or {})},
                "evaluator": self.evaluator,
                "controller": {"name": controller, **self.controllers[controller]},
                "search": {**self.search, "seed": seed, "device": "cpu"},
                "final": {"baseline": self.test.baseline},
            }
        )


@dataclass(frozen=True)
class Searched:
    """Result of one search.

    Attributes:
        controller: Name of its controller.
        seed: Seed of the controller.
        architecture: The best candidate, as JSON values.
        value: Its score in the search.
        curve: The best score after 1, 2, … evaluations.
        fresh: Its mean accuracy on fresh validation images after other trainings.
    """

    controller: str
    seed: int
    architecture: Mapping[str, Any]
    value: float
    curve: tuple[float, ...]
    fresh: float


@dataclass(frozen=True)
class Study:
    """Result of the study.

    Attributes:
        searches: All searches.
        differences: By controller, how far its fresh accuracies are above those of random search.
        tested: Mean accuracy on the test images by the role of the network, with its interval.
        better: By how much the best network is above the others, by their roles.
        owner: Controller and seed of the best network.
        seconds: Duration of this run.
        machine: The machine.
    """

    searches: tuple[Searched, ...]
    differences: Mapping[str, Mean]
    tested: Mapping[str, Estimate]
    better: Mapping[str, Estimate]
    owner: tuple[str, int]
    seconds: float
    machine: Machine


def load(path: Path | None) -> Settings:
    """The settings that come with the study, or those of another file. Raises ConfigError where they are not valid."""
    settings = read_settings(Settings, "supervised_nas", path)
    if RANDOM not in settings.controllers or len(settings.controllers) < 2:
        raise ConfigError("controllers must have random and at least one other, to be compared with it")
    return settings


def run_search(settings: Settings, controller: str, seed: int, work: Path) -> Searched:
    """Runs one search, and measures its best candidate on fresh validation images."""
    parts = build(settings.config(controller, seed))
    kept, store = KeptScores(_supervised(parts.evaluator), work), MemoryStore()
    trials, budget = settings.config(controller).search.trials, settings.config(controller).evaluator.budget
    options = SearchOptions(trials=trials, budget=budget, seed=TRAINING_SEED, workers=1)
    search(parts.constrained, parts.controller, kept, store, InlineExecutor(), options)
    scored = [trial for trial in store.trials() if trial.duplicate_of is None]
    best = max(scored, key=lambda trial: trial.value)
    bank, fresh = Bank("validation", FRESH, settings.fresh.examples), settings.fresh
    again = [kept.measure(best.architecture, fresh.budget, 1 + i, bank).value for i in range(fresh.seeds)]
    curve = tuple(max(trial.value for trial in scored[: count + 1]) for count in range(len(scored)))
    return Searched(controller, seed, best.architecture.to_json(), best.value, curve, sum(again) / len(again))


def run_test(settings: Settings, architecture: Architecture, seed: int, work: Path) -> None:
    """Trains a network for the test and keeps its score in the work folder."""
    _test_score(settings, architecture, seed, work)


def _test_score(settings: Settings, architecture: Architecture, seed: int, work: Path) -> Any:
    parts = build(settings.config(RANDOM, tasks={"train_examples": settings.test.train_examples}))
    searched = architecture.space == parts.space.name
    evaluator = _supervised(parts.evaluator if searched else parts.baseline_evaluator)
    bank = Bank("test", 0, settings.test.examples)
    return KeptScores(evaluator, work).measure(architecture, settings.test.budget, seed, bank)


def run(settings: Settings, work: Path, workers: int) -> Study:
    """The whole study, in worker processes of one thread each."""
    started = time.monotonic()
    build(settings.config(RANDOM)).measurer.tasks.check()
    work.mkdir(parents=True, exist_ok=True)
    with worker_processes(workers) as pool:
        jobs = [
            pool.submit(run_search, settings, name, seed, work)
            for seed in settings.seeds
            for name in settings.controllers
        ]
        searches = [job.result() for job in finished(jobs, lambda r: f"{r.controller}, seed {r.seed}: {r.fresh:.4f}")]
        searches.sort(key=lambda each: (list(settings.controllers).index(each.controller), each.seed))
        best = max(searches, key=lambda each: each.fresh)
        best_random = max((each for each in searches if each.controller == RANDOM), key=lambda each: each.fresh)
        baseline = sample(build(settings.config(RANDOM)).baseline, random.Random(0))
        roles = {
            "best of all searches": Architecture.from_json(best.architecture),
            "best of random search": Architecture.from_json(best_random.architecture),
            f"baseline {settings.test.baseline}": baseline,
        }
        seeds = range(1, 1 + settings.test.seeds)
        tests = [pool.submit(run_test, settings, a, seed, work) for a in roles.values() for seed in seeds]
        for job in finished(tests, lambda _: "a training for the test"):
            job.result()
    scores = {role: [_test_score(settings, a, seed, work) for seed in seeds] for role, a in roles.items()}
    first, *others = scores
    return Study(
        searches=tuple(searches),
        differences=_differences(settings, searches),
        tested={role: average(of_role, accuracy=True) for role, of_role in scores.items()},
        better={role: compare(scores[first], scores[role], accuracy=True) for role in others},
        owner=(best.controller, best.seed),
        seconds=time.monotonic() - started,
        machine=machine(),
    )


def text(study: Study, settings: Settings) -> str:
    """The table for people."""
    lines = [
        f"Architecture search with ordinary training on Fashion-MNIST: {settings.search['trials']} candidates a "
        f"search, {len(settings.seeds)} seeds, {settings.evaluator['budget']} epochs of "
        f"{settings.tasks['train_examples']:,} images each.",
        "",
        f"{'controller':<14}{'best score':>12}{'fresh images':>14}   above random, paired by seed, 95 % interval",
    ]
    for name in settings.controllers:
        of_name = [each for each in study.searches if each.controller == name]
        value, fresh = (100 * fmean(values) for values in ([e.value for e in of_name], [e.fresh for e in of_name]))
        apart = study.differences.get(name)
        shown = "" if apart is None else f"{100 * apart.value:+.2f} ({100 * apart.low:+.2f} – {100 * apart.high:+.2f})"
        lines.append(f"{name:<14}{value:>10.2f} %{fresh:>12.2f} %   {shown}".rstrip())
    lines += ["", f"{'on the test images, once':<28}{'accuracy':>10}   95 % interval"]
    lines += [f"{role:<28}{100 * e.value:>8.2f} %   {_ends(e)}" for role, e in study.tested.items()]
    lines += [f"best − {role:<21}{100 * e.value:>+8.2f}     {_ends(e)}" for role, e in study.better.items()]
    lines += [
        "",
        f"The best of all searches is that of {study.owner[0]}, seed {study.owner[1]}, chosen on the fresh images. "
        "Best scores are biased upwards; the fresh images are not those that the searches saw.",
        f"{settings.test.seeds} trainings of {settings.test.budget} epochs of {settings.test.train_examples:,} images "
        f"for each network in the test. {study.seconds:,.0f} s.",
        f"Machine: {machine_line(study.machine)}",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line of the study."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog=COMMAND, description="Architecture search with ordinary training")
    parser.add_argument("--settings", type=Path, help="a TOML file in place of the one that comes with the package")
    parser.add_argument("--work", type=Path, default=Path("work-supervised-nas"), help="folder of finished scores")
    parser.add_argument("--workers", type=whole(1), default=2, help="number of processes of one thread each")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained(parser.prog, interrupted=resumable(options.work)):
        settings = load(options.settings)
        study = run(settings, options.work, options.workers)
        print_table(options, [*parser.prog.split(), *arguments], text(study, settings), asdict(study))


def _differences(settings: Settings, searches: Sequence[Searched]) -> dict[str, Mean]:
    fresh = {name: [each.fresh for each in searches if each.controller == name] for name in settings.controllers}
    return {name: mean_of(np.subtract(values, fresh[RANDOM])) for name, values in fresh.items() if name != RANDOM}


def _supervised(evaluator: object) -> SupervisedEvaluator:
    if not isinstance(evaluator, SupervisedEvaluator):
        raise ConfigError("this study needs evaluator.name = 'supervised'")
    return evaluator


def _ends(estimate: Estimate) -> str:
    return f"{100 * estimate.low:.2f} – {100 * estimate.high:.2f}"


if __name__ == "__main__":
    main()
