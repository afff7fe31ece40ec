"""What a reproduction's TOML says: the tables of a search's config, and the rows that differ from them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from nas import config as configs
from nas.config import Config, Table
from nas.errors import ConfigError, nearest

Count = Annotated[int, Field(ge=1, le=10**9)]
Options = dict[str, Any]
Changes = Annotated[Options, Field(default_factory=dict)]


class TestTable(Table):
    """How every row is measured.

    tasks             test tasks
    queries           a class of each (a task of each, in regression)
    validation_tasks  on which rates are tuned
    """

    tasks: Annotated[int, Field(ge=2, le=10**6)] = 600
    queries: Count = 15
    validation_tasks: Annotated[int, Field(ge=2, le=10**6)] = 600


class RowTable(Table):
    """One row of the table: a method.

    title      how it is called there
    steps      after how many inner steps of adaptation it is measured
    published  the published number after a number of steps
    rates      inner rates of which the best on validation tasks is taken for adaptation; none: the learner's own
    source     where the published numbers are from, and what differs from them
    space, tasks, evaluator  what differs from the tables of the same names
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
    """Another schedule for all rows: `note` says what is shortened, `evaluator` what differs in all, `rows` in one."""

    note: str
    evaluator: Changes
    rows: Annotated[dict[str, Options], Field(default_factory=dict)]


class Settings(Table):
    """The whole file. `seeds` are those of meta-training and of the initial weights."""

    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]
    space: Options
    tasks: Options
    evaluator: Options
    test: TestTable
    schedules: Annotated[dict[str, ScheduleTable], Field(min_length=1)]
    rows: Annotated[dict[str, RowTable], Field(min_length=1)]


@dataclass(frozen=True)
class Row:
    """A row with its whole config, as it is run."""

    name: str
    table: RowTable
    test: TestTable
    config: Config


def load(name: str, path: Path | None) -> Settings:
    """The settings that come with a reproduction, or those of the TOML file `path`.

    Raises ConfigError for a file that cannot be read or a key that is not known.
    """
    try:
        if path is None:
            text = files("nas.experiments.reproduce").joinpath(f"{name}.toml").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        return Settings.model_validate(tomllib.loads(text))
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        key = ".".join(map(str, found["loc"]))
        raise ConfigError(f"{path or name}: key {key!r}: {found['msg']}; correct it") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"settings {path or name} cannot be read: {error}") from None


def rows(settings: Settings, schedule: str, *, methods: Sequence[str], device: str, given: Options) -> list[Row]:
    """The rows named by `methods` (none: all), in the file's order, with `given` beside the options of the tasks.

    Raises ConfigError for a schedule, method or option that is not known.
    """
    planned = list(settings.schedules[schedule].rows) if schedule in settings.schedules else []
    asked = (("schedule", [schedule], settings.schedules), ("method", [*methods, *planned], settings.rows))
    for what, names, known in asked:
        for name in names:
            if name not in known:
                raise ConfigError(f"{what} {name!r} is not known: {nearest(name, list(known))}")
    plan = settings.schedules[schedule]
    return [
        Row(name, table, settings.test, _config(settings, table, plan, name, device, given))
        for name, table in settings.rows.items()
        if not methods or name in methods
    ]


def _config(settings: Settings, row: RowTable, plan: ScheduleTable, name: str, device: str, given: Options) -> Config:
    space = {**settings.space, **row.space}
    config = configs.from_json(
        {
            "space": space,
            "tasks": {**settings.tasks, **row.tasks, **given},
            "evaluator": {**settings.evaluator, **plan.evaluator, **row.evaluator, **plan.rows.get(name, {})},
            "search": {"device": device},
            "final": {"baseline": space},  # not used, but one of the searched space must have its options
        }
    )
    configs.build(config)
    return config
