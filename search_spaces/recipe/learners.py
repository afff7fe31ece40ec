"""Choices of a learner's options: only those that the learner has, and that have an effect beside the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.space import Choose
from nas.training_recipe import LearnerChoice, Option

LEARNED = "learned"


@dataclass(frozen=True)
class Grids:
    """Options of the learners' choices.

    Attributes:
        inner_rates: Rates of SGD's inner steps.
        adam_inner_rates: Rates of Adam's inner steps.
        inner_steps: Numbers of inner steps.
        learned_optimizer: Folder of a learned optimizer of the inner steps; None for none.
    """

    inner_rates: tuple[float, ...]
    adam_inner_rates: tuple[float, ...]
    inner_steps: tuple[int, ...]
    learned_optimizer: Path | None


Options = dict[str, Option]


def learner_choice(choose: Choose, name: str, grids: Grids) -> LearnerChoice:
    """The options of the learner `name`."""
    return LearnerChoice(name, tuple(sorted(LEARNERS[name](choose, grids).items())))


def _anil(choose: Choose, grids: Grids) -> Options:
    return {**_steps(choose, grids), **_inner(choose, grids, ("sgd", "adam")), "learn_lr": _learned_rate(choose)}


def _maml(choose: Choose, grids: Grids) -> Options:
    learned = () if grids.learned_optimizer is None else (LEARNED,)
    adapted = choose("adapted_layers", ("all", "norm"))
    options = {"adapted": adapted, **_steps(choose, grids), **_inner(choose, grids, ("sgd", "adam", *learned))}
    if options["inner_optimizer"] == LEARNED:  # Its updates have no rate, and are not differentiated.
        return {**options, "optimizer": str(grids.learned_optimizer), "order": 1}
    return {**options, "order": choose("order", (1, 2)), "learn_lr": _learned_rate(choose)}


def _meta_sgd(choose: Choose, grids: Grids) -> Options:
    return {**_steps(choose, grids), "inner_lr": choose("inner_rate", grids.inner_rates)}


def _reptile(choose: Choose, grids: Grids) -> Options:
    return {"train_steps": choose("inner_steps", grids.inner_steps), **_inner(choose, grids, ("sgd", "adam"))}


def _finetune(choose: Choose, grids: Grids) -> Options:
    return {"steps": choose("inner_steps", grids.inner_steps), **_inner(choose, grids, ("sgd", "adam"))}


def _protonet(choose: Choose, grids: Grids) -> Options:
    return {"temperature": choose("temperature", (0.0, 1.0, 10.0))}


def _ridge(choose: Choose, grids: Grids) -> Options:
    return {"penalty": choose("penalty", (0.1, 1.0, 10.0))}


LEARNERS: Mapping[str, Callable[[Choose, Grids], Options]] = {
    "anil": _anil,
    "finetune": _finetune,
    "maml": _maml,
    "meta-sgd": _meta_sgd,
    "protonet": _protonet,
    "reptile": _reptile,
    "ridge": _ridge,
}
"""The learners that a recipe may have. MAML that adapts the head alone is ANIL, and is not a choice of its own."""


def _steps(choose: Choose, grids: Grids) -> Options:
    return {"steps": choose("inner_steps", grids.inner_steps)}


def _inner(choose: Choose, grids: Grids, names: tuple[str, ...]) -> Options:
    """The optimizer of the inner steps, and the rate where it has one."""
    name = choose("inner_optimizer", names)
    if name == LEARNED:
        return {"inner_optimizer": name}
    rates = grids.inner_rates if name == "sgd" else grids.adam_inner_rates
    return {"inner_optimizer": name, "inner_lr": choose(f"inner_rate_{name}", rates)}


def _learned_rate(choose: Choose) -> bool:
    return choose("learned_rate", (False, True))
