"""DADA's policy as augmentation of few-shot training tasks, against none and rotations, for ANIL and prototypes.

    python -m nas.experiments.reproduce.task_augmentation [--omniglot PATH] [--work DIR] [--out FILE] [--json]

The policy is learned on an ordinary classification of training classes, and then changes the support and query images
of training tasks. Test tasks are the same for all arms, never augmented, and measured once. The work folder keeps
finished arms, so that an interrupted run can be continued.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from nas.augmentation_policy import AugmentationPolicy, read_policy
from nas.config import Table
from nas.evaluators.augmentation.dada.search import DadaOptions, Images, learn_policy
from nas.evaluators.augmentation.policies import PolicyAugmentation
from nas.evaluators.meta import MetaEvaluator
from nas.evaluators.networks.building import build
from nas.evaluators.networks.normalisation import Normalisation
from nas.evaluators.supervised_training.learning import Backpropagation
from nas.evaluators.tasks.class_family import ClassFamily
from nas.evaluators.tasks.glyphs import Glyphs
from nas.evaluators.tasks.omniglot import Omniglot
from nas.registry import components
from nas.search_spaces.plain.fixed import Conv4
from nas.space import sample
from nas.task import Bank, TaskShape

from ..command_line import (
    Machine,
    add_output_options,
    explained,
    machine,
    machine_line,
    print_table,
    resumable,
    show_progress,
)
from .paired_errors import PairedError, p_text, paired_errors
from .settings import read_settings

NAME = "task_augmentation"
ARMS = ("none", "rotations", "dada")
Count = Annotated[int, Field(ge=1, le=10**6)]


class TestTable(Table):
    """The measurement; `tasks` is the number of test tasks."""

    tasks: Annotated[int, Field(ge=2, le=10**6)]


class Settings(Table):
    """All settings.

    Attributes:
        seeds: Seeds of policies, initial weights and training tasks.
        network_width: Channels of conv4.
        learners: Names of the learners, with default options.
        tasks: Options of the task families.
        evaluator: Options of the evaluator, and `budget`.
        test: The measurement.
        dada: Options of `DadaOptions`, and `classes`, the number of training classes of the classification.
    """

    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=2)]
    network_width: Count
    learners: Annotated[list[str], Field(min_length=1)]
    tasks: dict[str, Any]
    evaluator: dict[str, Any]
    test: TestTable
    dada: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Test errors of the arms for one family and learner, in per cent, with differences from `none` and `rotations`."""

    family: str
    learner: str
    arms: tuple[PairedError, ...]


@dataclass(frozen=True)
class Result:
    """Result of the study.

    Attributes:
        comparisons: One for each family and learner.
        machine: The machine.
    """

    comparisons: tuple[Comparison, ...]
    machine: Machine


@dataclass(frozen=True)
class Study:
    """The arms for one task family with one seed."""

    settings: Settings
    family: Glyphs | Omniglot
    seed: int
    work: Path

    def error(self, learner: str, arm: str) -> float:
        """Test error in per cent, from the work folder where it is finished."""
        file = self.work / f"{self.family.name}-{learner}-{arm}-{self.seed}.json"
        if file.exists():
            return float(json.loads(file.read_text())["error"])
        started = time.perf_counter()
        training = {"none": lambda: self.family, "rotations": self.rotated, "dada": self.augmented}[arm]()
        error = 100 * (1 - self.accuracy(learner, training))
        seconds = time.perf_counter() - started
        show_progress(f"{self.family.name}, {learner}, {arm}, seed {self.seed}: {error:.2f} %, {seconds:.0f} s")
        file.write_text(json.dumps({"error": error, "seconds": seconds}))
        return error

    def rotated(self) -> Glyphs | Omniglot:
        if isinstance(self.family, Glyphs):
            return replace(self.family, rotations=True)
        return replace(self.family, rotations="distinct")

    def augmented(self) -> Glyphs | Omniglot:
        file = self.work / f"policy-{self.family.name}-{self.seed}.json"
        if not file.exists():  # The learners share it.
            self.policy().write(file)
        return replace(self.family, augmentation=PolicyAugmentation(read_policy(file)))

    def policy(self) -> AugmentationPolicy:
        """The policy that DADA learns on a classification of training classes."""
        options = dict(self.settings.dada)
        halves = class_halves(self.family, options.pop("classes"), self.seed)
        shape = TaskShape(self.family.shape.input_shape, int(halves[0].y.max()) + 1)
        space = Conv4(self.settings.network_width)
        normalisation = Normalisation("group", False)
        only = sample(space, random.Random(0))
        network = build(space, only, shape, normalisation, learner=Backpropagation(), seed=self.seed)
        return learn_policy(network, *halves, DadaOptions(**options, seed=self.seed)).policy

    def accuracy(self, learner: str, training: Glyphs | Omniglot) -> float:
        """Accuracy on the test tasks of the family after meta-training on the tasks of `training`."""
        options = dict(self.settings.evaluator)
        budget = options.pop("budget")
        space = Conv4(self.settings.network_width)
        inner = components.create("learner", learner, {})
        evaluator = MetaEvaluator(space, training, inner, **options)
        only = sample(space, random.Random(0))
        bank = Bank("test", 0, self.settings.test.tasks)
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.safetensors"
            if training != self.family:
                evaluator.measure(only, budget, self.seed, bank=Bank("validation", 0, 2), weights=weights)
                evaluator = replace(evaluator, tasks=self.family)
            return evaluator.measure(only, budget, self.seed, bank=bank, weights=weights).value


def class_halves(family: ClassFamily, classes: int, seed: int) -> tuple[Images, Images]:
    """Images of some training classes with their labels, half of each class for training and half for validation.

    Args:
        family: Family of images (rows, drawers, height, width) uint8.
        classes: Number of classes, drawn at random; all where there are fewer.
        seed: Seed of the draw.
    """
    data = family.load()
    rows = torch.unique(data.pools["train"].rows)
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:classes]]
    images = data.examples[rows]
    half = images.shape[1] // 2
    labels = torch.arange(len(rows))

    def part(x: torch.Tensor) -> Images:
        return Images(x.flatten(0, 1)[:, None], labels.repeat_interleave(x.shape[1]))

    return part(images[:, :half]), part(images[:, half:])


def run(settings: Settings, families: Sequence[Glyphs | Omniglot], work: Path) -> Result:
    """All families, learners, arms and seeds."""
    work.mkdir(parents=True, exist_ok=True)
    comparisons = []
    for family in families:
        family.check()
        for learner in settings.learners:
            errors: Mapping[str, Sequence[float]] = {
                arm: [Study(settings, family, seed, work).error(learner, arm) for seed in settings.seeds]
                for arm in ARMS
            }
            comparisons.append(Comparison(family.name, learner, paired_errors(errors, ("none", "rotations"))))
    return Result(tuple(comparisons), machine())


def text(result: Result, settings: Settings) -> str:
    """The table for people."""
    lines = [
        f"Augmentation of training tasks, {settings.tasks['ways']}-way {settings.tasks['shots']}-shot, conv4 of width "
        f"{settings.network_width}, {settings.evaluator['budget']} outer steps, {len(settings.seeds)} seeds, "
        f"{settings.test.tasks} test tasks: error in %",
        "",
        f"{'tasks':<10}{'learner':<10}{'arm':<11}error   95 % interval      less none   95 % interval     p"
        "     less rotations   95 % interval     p",
    ]
    for comparison in result.comparisons:
        for arm in comparison.arms:
            line = f"{comparison.family:<10}{comparison.learner:<10}{arm.name:<11}{arm.error.text:<25}"
            for other in ("none", "rotations"):
                difference = arm.differences.get(other)
                line += f"{difference.text:>26} {p_text(difference.p_value):>6}" if difference else " " * 33
            lines.append(line.rstrip())
    lines += [
        "",
        "Intervals and p are Student's t over seeds, paired: a seed has the same initial weights in all arms, and all "
        "are measured on the same test tasks.",
        "",
        f"Machine: {machine_line(result.machine)}",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog=f"python -m nas.experiments.reproduce.{NAME}", description=__doc__)
    parser.add_argument("--omniglot", type=Path, help="where Omniglot is; left out, glyphs alone are measured")
    parser.add_argument("--work", type=Path, default=Path(f"work-{NAME}"), help="folder of finished results")
    parser.add_argument("--settings", type=Path, help="a TOML file in place of the one that comes with the package")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained(parser.prog, interrupted=resumable(options.work)):
        settings = read_settings(Settings, NAME, options.settings)
        families: list[Glyphs | Omniglot] = [Glyphs(**settings.tasks)]
        if options.omniglot:
            families.append(Omniglot(**settings.tasks, path=options.omniglot, rotations="none"))
        result = run(settings, families, options.work)
        print_table(options, [*parser.prog.split(), *arguments], text(result, settings), asdict(result))


if __name__ == "__main__":
    main()
