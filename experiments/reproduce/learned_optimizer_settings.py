"""Settings of the study of learned optimizers, read from TOML."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError

from nas import registry
from nas.config import Table
from nas.errors import ConfigError, nearest
from nas.evaluators.optimizers.lstm import LstmSpec
from nas.evaluators.optimizers.problems import Optimizee
from nas.evaluators.optimizers.runs import OptimizerTraining
from nas.evaluators.optimizers.training import TrainingSettings

Count = Annotated[int, Field(ge=1, le=10**9)]
Options = dict[str, Any]


class TestTable(Table):
    """Functions that the optimizers are measured on.

    Attributes:
        title: Name in the table.
        functions: Number of functions.
        steps: Numbers of steps after which the loss is measured.
        optimizee: Changes to the optimizee of the training.
    """

    title: str
    functions: Annotated[int, Field(ge=2, le=10**6)]
    steps: Annotated[list[Count], Field(min_length=1)]
    optimizee: Annotated[Options, Field(default_factory=dict)]


class StudyTable(Table):
    """One kind of functions.

    Attributes:
        title: Title of the table.
        tuning_functions: Validation functions on which the opponents' rates are tuned.
        rates_a_decade: Rates of the search a power of ten.
        optimizee: Name and options of the functions of the training.
        training: Options of the training.
        tests: The measurements.
    """

    title: str
    tuning_functions: Count
    rates_a_decade: Count
    optimizee: Options
    training: Options
    tests: Annotated[list[TestTable], Field(min_length=1)]


class Settings(Table):
    """All settings.

    Attributes:
        seeds: Seeds of the trainings.
        quadratics: The study of quadratic functions.
        mlp: The study of networks.
    """

    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]
    quadratics: StudyTable
    mlp: StudyTable

    def study(self, name: str, path: str | None) -> StudyTable:
        """A study by name, with the images of another folder where one is given."""
        study: StudyTable = getattr(self, name)
        return study if path is None else study.model_copy(update={"optimizee": {**study.optimizee, "path": path}})


def load(path: Path | None) -> Settings:
    """The settings that come with the study, or those of another TOML file.

    Raises:
        ConfigError: The file cannot be read, or its settings are not valid.
    """
    shipped = files("nas.experiments.reproduce").joinpath("learned_optimizer.toml")
    try:
        text = (shipped if path is None else path).read_text("utf-8")
        return Settings.model_validate(tomllib.loads(text))
    except (OSError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise ConfigError(f"settings {path} cannot be read: {error}") from None
        detail = error.errors()[0]
        key = ".".join(map(str, detail["loc"]))
        known = (
            f"; {nearest(str(detail['loc'][-1]), Settings.model_fields)}" if detail["type"] == "extra_forbidden" else ""
        )
        raise ConfigError(f"settings {path}: key {key!r}: {detail['msg']}{known}") from None


def optimizee_of(study: StudyTable, test: TestTable | None = None) -> Optimizee:
    """The functions of the training, or those of a test. Raises ConfigError for options that do not fit."""
    changed = {**study.optimizee, **(test.optimizee if test else {})}
    name = str(changed.pop("name"))
    made: Optimizee = registry.create("optimizee", name, changed)
    return made


def trainer_of(study: StudyTable, seed: int) -> OptimizerTraining:
    """The training with a seed. Raises ConfigError for options that do not fit."""
    try:
        settings = TrainingSettings(**study.training, seed=seed)
    except TypeError as error:
        raise ConfigError(f"training: {error}; {nearest('', TrainingSettings.__dataclass_fields__)}") from None
    return OptimizerTraining(LstmSpec(), settings, optimizee_of(study), torch.device("cpu"))
