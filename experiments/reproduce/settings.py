"""Settings of a reproduction, read from TOML: tables of a search's config, and the changes of each row to them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from nas import config as configs
from nas.config import Config, Table
from nas.errors import ConfigError, nearest

T = TypeVar("T", bound=Table)
Count = Annotated[int, Field(ge=1, le=10**9)]
Options = dict[str, Any]
Changes = Annotated[Options, Field(default_factory=dict)]


class TestTable(Table):
    """Measurement of every row.

    Attributes:
        tasks: Number of test tasks.
        queries: Queries a class in each of them; a task, in regression.
        validation_tasks: Number of tasks on which inner rates are tuned.
    """

    tasks: Annotated[int, Field(ge=2, le=10**6)] = 600
    queries: Count = 15
    validation_tasks: Annotated[int, Field(ge=2, le=10**6)] = 600


class RowTable(Table):
    """One method of the table.

    Attributes:
        title: Name in the table.
        steps: Numbers of inner steps of adaptation after which it is measured.
        published: Published number by number of inner steps.
        rates: Inner rates, of which the best on validation tasks is taken for adaptation; if empty, the learner's own.
        source: Source of the published numbers, and what differs from it.
        space: Changes to the table `space`.
        tasks: Changes to the table `tasks`.
        evaluator: Changes to the table `evaluator`.
    """

    title: str
    steps: Annotated[list[Annotated[int, Field(ge=0, le=10_000)]], Field(min_length=1)]
    published: Annotated[dict[str, float], Field(default_factory=dict)]
    rates: Annotated[list[Annotated[float, Field(gt=0)]], Field(default_factory=list)]
    source: str = ""
    space: Changes
    tasks: Changes
    evaluator: Changes


class ScheduleTable(Table):
    """Schedule of all rows, such as a shortened one.

    Attributes:
        note: Note on what is shortened.
        evaluator: Changes to the table `evaluator` of all rows.
        rows: Changes to the table `evaluator` of single rows, by name.
    """

    note: str
    evaluator: Changes
    rows: Annotated[dict[str, Options], Field(default_factory=dict)]


class Settings(Table):
    """All settings; `seeds` are those of meta-training and of the initial weights."""

    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]
    space: Options
    tasks: Options
    evaluator: Options
    test: TestTable
    schedules: Annotated[dict[str, ScheduleTable], Field(min_length=1)]
    rows: Annotated[dict[str, RowTable], Field(min_length=1)]


@dataclass(frozen=True)
class Row:
    """Row with its complete config."""

    name: str
    table: RowTable
    test: TestTable
    config: Config


def load(name: str, path: Path | None) -> Settings:
    """The settings that come with a reproduction, or those of another TOML file. Raises ConfigError."""
    return read_settings(Settings, name, path)


def read_settings(kind: type[T], name: str, path: Path | None) -> T:
    """Settings of any kind.

    Args:
        kind: Class of the settings.
        name: Name of the reproduction.
        path: TOML file; None for the one that comes with the package.

    Raises:
        ConfigError: The file cannot be read, or its settings are not valid.
    """
    try:
        source = files("nas.experiments.reproduce").joinpath(f"{name}.toml") if path is None else path
        return kind.model_validate(tomllib.loads(source.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path or name}: key {key!r}: {first['msg']}; correct it") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"settings {path or name} cannot be read: {error}") from None


def rows(settings: Settings, schedule: str, *, methods: Sequence[str], device: str, task_options: Options) -> list[Row]:
    """The rows to measure, in the file's order.

    Args:
        settings: All settings.
        schedule: Name of the schedule.
        methods: Names of the rows; if empty, all.
        device: Device of the measurements.
        task_options: Options of the tasks in addition to those of the settings.

    Raises:
        ConfigError: The schedule, a method or an option is not known.
    """
    if schedule not in settings.schedules:
        raise ConfigError(f"schedule {schedule!r} is not known: {nearest(schedule, settings.schedules)}")
    plan = settings.schedules[schedule]
    for method in (*methods, *plan.rows):
        if method not in settings.rows:
            raise ConfigError(f"method {method!r} is not known: {nearest(method, settings.rows)}")
    return [
        Row(name, table, settings.test, _config(settings, name, plan, device, task_options))
        for name, table in settings.rows.items()
        if not methods or name in methods
    ]


def _config(settings: Settings, name: str, plan: ScheduleTable, device: str, task_options: Options) -> Config:
    row = settings.rows[name]
    space = {**settings.space, **row.space}
    config = configs.from_json(
        {
            "space": space,
            "tasks": {**settings.tasks, **row.tasks, **task_options},
            "evaluator": {**settings.evaluator, **plan.evaluator, **row.evaluator, **plan.rows.get(name, {})},
            "search": {"device": device},
            "final": {"baseline": space},  # unused; a baseline of the searched space must have the same options
        }
    )
    configs.build(config)
    return config
