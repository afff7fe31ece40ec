"""What the fidelity experiment's TOML says."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from nas import config as configs
from nas.config import Config, Table
from nas.errors import ConfigError, nearest

Options = dict[str, Any]
Whole = Annotated[int, Field(ge=1, le=10**12)]
Limits = Annotated[list[Whole], Field(min_length=2, max_length=2)]


class CellsTable(Table):
    """Which cells: the first `count` random ones, drawn with `seed`, whose parameters and FLOPs are in the limits.

    Without limits cells of any size are taken.
    """

    count: Annotated[int, Field(ge=3, le=10_000)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    parameters: Limits | None = None
    flops: Limits | None = None


class ReferenceTable(Table):
    """What is taken for the truth: the last rung of `series`. The first `again` cells have it with a second seed."""

    series: str
    again: Annotated[int, Field(ge=0, le=10_000)]


class SeriesTable(Table):
    """One way to get cheap scores; `evaluator` is what differs from the table of that name.

    rungs     outer steps after which a cell is scored, ascending
    schedule  continued: one meta-training through all rungs, annealed to the last; own: one for each rung
    """

    title: str
    rungs: Annotated[list[Whole], Field(min_length=1)]
    schedule: Literal["continued", "own"]
    evaluator: Annotated[Options, Field(default_factory=dict)]


class Settings(Table):
    """The whole file."""

    cells: CellsTable
    reference: ReferenceTable
    space: Options
    tasks: Options
    evaluator: Options
    series: dict[str, SeriesTable]


def load(path: Path | None) -> Settings:
    """The settings that come with the experiment, or those of another TOML file.

    Raises ConfigError for a file that cannot be read, or settings that do not fit together.
    """
    try:
        source = files("nas.experiments.fidelity").joinpath("fidelity.toml") if path is None else path
        settings = Settings.model_validate(tomllib.loads(source.read_text("utf-8")))
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        raise ConfigError(f"key {'.'.join(map(str, found['loc']))!r}: {found['msg']}; correct it") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"the settings cannot be read: {error}") from None
    if "ways" not in settings.tasks:
        raise ConfigError("key 'tasks.ways' is missing; give it: a cell that diverges counts as guessing")
    if settings.reference.series not in settings.series:
        name = settings.reference.series
        raise ConfigError(f"reference series {name!r} is not known: {nearest(name, list(settings.series))}")
    for name, series in settings.series.items():
        if sorted(set(series.rungs)) != series.rungs:
            raise ConfigError(f"the rungs {series.rungs} of series {name!r} do not ascend; sort them")
    return settings


def config(settings: Settings, series: SeriesTable, path: str) -> Config:
    """A series as a search's config; `path` is where the data of the tasks is. Raises ConfigError for what is wrong."""
    found = configs.from_json(
        {
            "space": settings.space,
            "tasks": {**settings.tasks, **({"path": path} if path else {})},
            "evaluator": {**settings.evaluator, **series.evaluator},
            "search": {"device": "cpu"},
        }
    )
    configs.build(found)
    return found
