"""DADA on Fashion-MNIST reduced to 4,000 images: test errors of learned augmentation policies and of their controls.

    python -m nas.experiments.reproduce.augmentation [--work DIR] [--out FILE] [--json]

Every arm trains the same network on the same images with the same schedule and seed, and is tested once. The searches
see the training images alone, one half for training and one for validation. The work folder keeps finished arms, so
that an interrupted run can be continued, and the learned policies.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from nas.architecture import Architecture
from nas.augmentation_policy import AugmentationPolicy
from nas.config import Table
from nas.controllers import Evolution, Reinforce
from nas.evaluators.augmentation.controls import RandAugment, RandomPolicy, TrivialAugment
from nas.evaluators.augmentation.dada.search import DadaOptions, Images, LearnedPolicy, learn_policy
from nas.evaluators.augmentation.policies import PolicyAugmentation
from nas.evaluators.supervised import SupervisedEvaluator
from nas.evaluators.supervised_training.optimizers import Sgd
from nas.evaluators.tasks.fashion_mnist import FOLDER, FashionMnist
from nas.evaluators.tasks.labelled_family import LabelledData
from nas.executors import InlineExecutor
from nas.protocols import Augmentation, Controller, SearchSpace
from nas.search import SearchOptions, search
from nas.search_spaces.augmentation_policy.space import AugmentationPolicySpace
from nas.search_spaces.plain.fixed import Conv4
from nas.space import replay, sample
from nas.store import MemoryStore
from nas.task import Bank

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
from .policy_figure import save_figure
from .settings import read_settings

NAME = "augmentation"
Count = Annotated[int, Field(ge=1, le=10**6)]
CONTROLS = ("rand-augment", "trivial-augment", "random policies")
ARMS = ("none", "rand-augment", "trivial-augment", "random policies", "reinforce", "evolution", "dada")


class TrainingTable(Table):
    """Training of every arm; names as in `SupervisedEvaluator` and `Sgd`."""

    epochs: Count
    batch: Count
    rate: float
    momentum: float
    weight_decay: float
    crop: Annotated[int, Field(ge=0)]
    flip: bool


class DataTable(Table):
    """Fashion-MNIST: its folder, and numbers of images."""

    path: str = str(FOLDER)
    train_examples: Count
    test_examples: Count


class SearchTable(Table):
    """Search by REINFORCE and by evolution.

    Attributes:
        trials: Policies that are tried, each by a training of `epochs` epochs on half of the images.
        epochs: Epochs of each.
        sub_policies: Sub-policies of each, as in AutoAugment.
        validation_examples: Images of the other half that score it.
    """

    trials: Count
    epochs: Count
    sub_policies: Annotated[int, Field(ge=1, le=25)]
    validation_examples: Count


class Settings(Table):
    """All settings; `dada` has the options of `DadaOptions`."""

    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=2)]
    network_width: Count
    training: TrainingTable
    data: DataTable
    dada: dict[str, Any]
    search: SearchTable


@dataclass(frozen=True)
class Arm:
    """Result of one arm with one seed.

    Attributes:
        accuracy: Test accuracy in [0, 1].
        search_s: Seconds of the search for its policy; 0 without one.
        train_s: Seconds of its training and test.
    """

    accuracy: float
    search_s: float
    train_s: float


@dataclass(frozen=True)
class Result:
    """Result of the study.

    Attributes:
        settings: Settings.
        arms: Test error in per cent of each arm, with its difference from `none`.
        search_seconds: Mean seconds of each arm's search.
        train_seconds: Mean seconds of one training without augmentation.
        machine: The machine.
    """

    settings: Settings
    arms: tuple[PairedError, ...]
    search_seconds: Mapping[str, float]
    train_seconds: float
    machine: Machine


@dataclass(frozen=True, kw_only=True)
class Halves(FashionMnist):
    """The training images of Fashion-MNIST alone, as its options choose them: half to train, half to validate."""

    def load(self) -> LabelledData:
        return _halves(FashionMnist(**asdict(self)))


@lru_cache(maxsize=2)
def _halves(whole: FashionMnist) -> LabelledData:
    data = whole.load()
    x, y = data.examples["train"], data.labels["train"]
    half = len(y) // 2
    return LabelledData(
        {"train": x[:half], "validation": x[half:], "test": x[half:]},
        {"train": y[:half], "validation": y[half:], "test": y[half:]},
        data.classes,
    )


@dataclass(frozen=True)
class Study:
    """The arms with one seed, which chooses the images, the initial weights and the order of the batches."""

    settings: Settings
    seed: int
    work: Path

    @property
    def whole(self) -> FashionMnist:
        data = self.settings.data
        return FashionMnist(
            train_examples=data.train_examples, validation_examples=4, seed=self.seed, path=Path(data.path)
        )

    @property
    def halves(self) -> Halves:
        return Halves(**asdict(self.whole))

    def evaluator(self, space: SearchSpace, *, halves: bool) -> SupervisedEvaluator:
        """The evaluator of all arms, on all training images or on their halves."""
        training = self.settings.training
        optimizer = Sgd(rate=training.rate, momentum=training.momentum, weight_decay=training.weight_decay)
        return SupervisedEvaluator(
            space,
            self.halves if halves else self.whole,
            optimizer=optimizer,
            norm="group",
            batch=training.batch,
            crop=training.crop,
            flip=training.flip,
            validation_examples=self.settings.search.validation_examples if halves else 0,
        )

    def arm(self, name: str) -> Arm:
        """One arm, from the work folder where it is finished."""
        file = self.work / f"{name.replace(' ', '-')}-{self.seed}.json"
        if file.exists():
            return Arm(**json.loads(file.read_text()))
        started = time.perf_counter()
        augmentation, searched = self.augmentation(name)
        search_s = time.perf_counter() - started if searched else 0.0
        started = time.perf_counter()
        accuracy = self.tested(augmentation)
        arm = Arm(accuracy, search_s, time.perf_counter() - started)
        file.write_text(json.dumps(asdict(arm)))
        return arm

    def augmentation(self, name: str) -> tuple[Augmentation | None, bool]:
        """The augmentation of an arm, and whether it was searched for."""
        fixed: Mapping[str, Augmentation | None] = {
            "none": None,
            "rand-augment": RandAugment(),
            "trivial-augment": TrivialAugment(),
            "random policies": RandomPolicy(sub_policies=self.settings.dada["sub_policies"], seed=self.seed),
        }
        if name in fixed:
            return fixed[name], False
        if name == "dada":
            learned = self.dada()
            save_figure(learned.history, self.work / f"dada-{self.seed}.png")
            policy = learned.policy
        else:
            policy = self.searched(Reinforce if name == "reinforce" else Evolution)
        policy.write(self.work / f"policy-{name}-{self.seed}.json")
        return PolicyAugmentation(policy), True

    def dada(self) -> LearnedPolicy:
        """The policy that DADA learns on the halves."""
        data = self.halves.load()
        train, validation = (Images(data.examples[s], data.labels[s]) for s in ("train", "validation"))
        space = Conv4(self.settings.network_width)
        network = self.evaluator(space, halves=True).network(_only(space), self.seed)
        return learn_policy(network, train, validation, DadaOptions(**self.settings.dada, seed=self.seed))

    def searched(self, controller: Callable[..., Controller]) -> AugmentationPolicy:
        """The best of the policies that a controller tries on the halves."""
        table = self.settings.search
        space = AugmentationPolicySpace(sub_policies=table.sub_policies, width=self.settings.network_width)
        store = MemoryStore()
        options = SearchOptions(trials=table.trials, budget=table.epochs, seed=self.seed, workers=1)
        evaluator = self.evaluator(space, halves=True)
        search(space, controller(space=space, seed=self.seed), evaluator, store, InlineExecutor(), options)
        done = [trial for trial in store.trials() if trial.score is not None]
        best = max(done, key=lambda trial: trial.score.value if trial.score else 0.0)
        return space.augmentation(replay(space, best.architecture))

    def tested(self, augmentation: Augmentation | None) -> float:
        """Accuracy on the test images after training on all training images."""
        space = Conv4(self.settings.network_width)
        evaluator = replace(self.evaluator(space, halves=False), augmentation=augmentation)
        bank = Bank("test", 0, self.settings.data.test_examples)
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "weights.safetensors"
            epochs = self.settings.training.epochs
            return evaluator.measure(_only(space), epochs, self.seed, bank=bank, weights=weights).value


def _only(space: Conv4) -> Architecture:
    return sample(space, random.Random(0))


def run(settings: Settings, work: Path) -> Result:
    """All arms with all seeds, in an order in which each seed is complete before the next begins."""
    work.mkdir(parents=True, exist_ok=True)
    arms: dict[str, list[Arm]] = {name: [] for name in ARMS}
    for seed in settings.seeds:
        for name in ARMS:
            arm = Study(settings, seed, work).arm(name)
            arms[name].append(arm)
            show_progress(
                f"seed {seed}, {name}: test error {100 * (1 - arm.accuracy):.2f} %, search {arm.search_s:.0f} s, "
                f"training {arm.train_s:.0f} s"
            )
    errors = {name: [100 * (1 - arm.accuracy) for arm in results] for name, results in arms.items()}
    return Result(
        settings=settings,
        arms=paired_errors(errors, ("none", *CONTROLS)),
        search_seconds={name: float(np.mean([arm.search_s for arm in results])) for name, results in arms.items()},
        train_seconds=float(np.mean([arm.train_s for arm in arms["none"]])),
        machine=machine(),
    )


def text(result: Result) -> str:
    """The table for people."""
    settings = result.settings
    lines = [
        f"Fashion-MNIST, {settings.data.train_examples:,} training images, conv4 of width {settings.network_width}, "
        f"{settings.training.epochs} epochs, {len(settings.seeds)} seeds: test error in %",
        "",
        f"{'arm':<18}{'error':>7}   95 % interval   {'less none':>10}   95 % interval     p   {'search':>9}",
    ]
    for arm in result.arms:
        difference = arm.differences.get("none")
        apart = " " * 40 if difference is None else f"{difference.text:>35} {p_text(difference.p_value):>6}"
        seconds = result.search_seconds[arm.name]
        cost = f"{seconds:>7.0f} s ({seconds / result.train_seconds:.1f} trainings)" if seconds else ""
        lines.append(f"{arm.name:<18}{arm.error.text:>24} {apart}   {cost}")
    dada = next(arm for arm in result.arms if arm.name == "dada").differences
    lines += [
        "",
        *(f"DADA less {name}: {dada[name].text}, p {p_text(dada[name].p_value)}" for name in CONTROLS),
        "Intervals and p are Student's t over seeds, paired: a seed has the same images, initial weights and batches "
        "in all arms.",
        "Published (CIFAR-10, WRN-28-10, all 50,000 images): baseline 3.9, Cutout 3.1, AutoAugment 2.6, DADA 2.7 % "
        "after 0.1 GPU-hours of search.",
        "",
        f"Machine: {machine_line(result.machine)}",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog=f"python -m nas.experiments.reproduce.{NAME}", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(f"work-{NAME}"), help="folder of finished results")
    parser.add_argument("--settings", type=Path, help="a TOML file in place of the one that comes with the package")
    add_output_options(parser)
    options = parser.parse_args(arguments)
    with explained(parser.prog, interrupted=resumable(options.work)):
        result = run(read_settings(Settings, NAME, options.settings), options.work)
        document = {**asdict(replace(result, settings=None)), "settings": result.settings.model_dump()}  # type: ignore[arg-type]
        print_table(options, [*parser.prog.split(), *arguments], text(result), document)


if __name__ == "__main__":
    main()
