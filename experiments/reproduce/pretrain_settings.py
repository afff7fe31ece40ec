"""Settings of the study of pre-training and meta-learning, read from TOML, and the rows of each of its problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import torch
from pydantic import Field

from nas.config import Table
from nas.errors import ConfigError, DataError, nearest
from nas.evaluators.learners.reptile import Reptile
from nas.evaluators.tasks.drawing import draw

from ..meta_evaluator import meta_evaluator
from . import settings
from .settings import Options, Row, TestTable

NAME = "pretrain_vs_meta"
REFERENCE = "pre-training"
"""Method that the others are compared with."""
DATA_OPTIONS: Final[Mapping[str, str]] = {"omniglot": "omniglot", "sequences": "pigcvp"}
"""By the name of a task family that reads files, the option of the command line that says where they are."""


class ProblemTable(Table):
    """A family of tasks, a network, and an outer loop that is the same for all methods.

    Attributes:
        space: Space of the one network.
        tasks: Task family.
        evaluator: Options of the evaluator, and `budget`.
        test: The measurement.
        rates: Inner rates of adaptation, of which each method takes its best on validation tasks.
        learners: Methods to compare, and what differs from their options in the table `learners` of the study.
    """

    space: Options
    tasks: Options
    evaluator: Options
    test: TestTable
    rates: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    learners: dict[str, Options]


class Settings(Table):
    """All settings.

    Attributes:
        seeds: Seeds of the initial weights and the training tasks.
        steps: Inner steps of adaptation.
        learners: Learner of each method, with its options.
        problems: The problems.
    """

    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=3)]
    steps: Annotated[int, Field(ge=1, le=10_000)]
    learners: dict[str, Options]
    problems: Annotated[dict[str, ProblemTable], Field(min_length=1)]


@dataclass(frozen=True)
class Problem:
    """Problem with the rows to measure.

    Attributes:
        name: Its name.
        rows: A row for each method.
        regression: Whether it is one of regression.
        examples: Support and query examples that each method sees in training.
        outer_loop: The outer loop in words.
    """

    name: str
    rows: tuple[Row, ...]
    regression: bool
    examples: int
    outer_loop: str


def load(path: Path | None) -> Settings:
    """The settings that come with the study, or those of another TOML file. Raises ConfigError."""
    return settings.read_settings(Settings, NAME, path)


def problems(study: Settings, paths: Mapping[str, Path | None]) -> tuple[list[Problem], dict[str, str]]:
    """The problems whose data are at hand, and why the others are left out.

    Args:
        study: All settings.
        paths: By the name of a task family that reads files, where they are; None where the option was not given.

    Returns:
        The problems, and by the name of each one that is left out, what is missing.

    Raises:
        ConfigError: A setting cannot be used.
        DataError: Files at a given path are missing or damaged.
    """
    found, left_out = [], {}
    for name, table in study.problems.items():
        family = str(table.tasks.get("name"))
        path = paths.get(family)
        rows = _rows(study, name, path)
        try:
            meta_evaluator(rows[0].config).tasks.check()
        except (ConfigError, DataError) as error:
            if path is not None or "path" in table.tasks or family not in paths:
                raise
            left_out[name] = f"give --{DATA_OPTIONS[family]}: {error}"
        else:
            found.append(_problem(name, rows))
    return found, left_out


def _rows(study: Settings, name: str, path: Path | None) -> list[Row]:
    table = study.problems[name]
    for method in table.learners:
        if method not in study.learners:
            raise ConfigError(
                f"problem {name!r}: method {method!r} is not in the table learners: {nearest(method, study.learners)}"
            )
    if REFERENCE not in table.learners:
        raise ConfigError(f"problem {name!r} has no method {REFERENCE!r}, with which the others are compared; add it")
    plan: dict[str, Any] = {
        "seeds": study.seeds,
        "space": table.space,
        "tasks": table.tasks,
        "evaluator": {"name": "meta", **table.evaluator},
        "test": table.test.model_dump(),
        "schedules": {"full": {"note": ""}},
        "rows": {
            method: {
                "title": method,
                "steps": list(range(study.steps + 1)),
                "evaluator": {"learner": {**study.learners[method], **changes}},
            }
            for method, changes in table.learners.items()
        },
    }
    reproduction = settings.Settings.model_validate(plan)
    task_options = {} if path is None else {"path": str(path)}
    rows = settings.rows(reproduction, "full", methods=(), device="cpu", task_options=task_options)
    return [_with_rates(row, table.rates) for row in rows]


def _with_rates(row: Row, rates: list[float]) -> Row:
    """The row with rates to choose from, where its learner has an inner rate."""
    if not hasattr(meta_evaluator(row.config).learner, "inner_lr"):
        return row
    return replace(row, table=row.table.model_copy(update={"rates": rates}))


def _problem(name: str, rows: list[Row]) -> Problem:
    evaluator, budget = meta_evaluator(rows[0].config), rows[0].config.evaluator.budget
    batch = draw(evaluator.tasks, "train", [0], torch.device("cpu"), queries=evaluator.train_queries)
    of_a_task = batch.support_x.shape[1] + batch.query_x.shape[1]
    for row in rows:
        _check_all_seen(name, row, of_a_task)
    return Problem(
        name=name,
        rows=tuple(rows),
        regression=evaluator.tasks.shape.kind == "regression",
        examples=budget * evaluator.tasks_per_step * of_a_task,
        outer_loop=f"{budget:,} outer steps of {evaluator.tasks_per_step} tasks of {of_a_task} examples",
    )


def _check_all_seen(name: str, row: Row, of_a_task: int) -> None:
    """Raises ConfigError where the learner leaves out examples of its tasks, as Reptile may with few inner steps."""
    learner = meta_evaluator(row.config).learner
    if isinstance(learner, Reptile) and learner.train_steps * learner.batch < of_a_task:
        raise ConfigError(
            f"problem {name!r}: {row.name} takes {learner.train_steps} batches of {learner.batch} examples of a task, "
            f"which has {of_a_task}; all methods must see equal examples: raise train_steps or batch"
        )
