"""Settings of the fidelity study, read from TOML."""

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
    """Cells of the study: the first random ones within the limits of size, if there are any.

    Attributes:
        count: Number of cells.
        seed: Seed of the random cells.
        parameters: Least and largest number of parameters; None without limits.
        flops: Least and largest number of FLOPs; None without limits.
    """

    count: Annotated[int, Field(ge=3, le=10_000)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    parameters: Limits | None = None
    flops: Limits | None = None


class ReferenceTable(Table):
    """Reference score: that of the last rung of a series.

    Attributes:
        series: Name of the series.
        again: Number of cells, from the first on, whose reference is also trained with a second seed.
    """

    series: str
    again: Annotated[int, Field(ge=0, le=10_000)]


class SeriesTable(Table):
    """One way to compute cheap scores.

    Attributes:
        title: Name in the table.
        rungs: Outer steps after which a cell is scored, ascending.
        schedule: "continued" is one meta-training through all rungs, annealed to the last; "own" is one for each rung.
        evaluator: Changes to the table `evaluator` of the settings.
    """

    title: str
    rungs: Annotated[list[Whole], Field(min_length=1)]
    schedule: Literal["continued", "own"]
    evaluator: Annotated[Options, Field(default_factory=dict)]


class Settings(Table):
    """All settings; `space`, `tasks` and `evaluator` are tables of a search's config."""

    cells: CellsTable
    reference: ReferenceTable
    space: Options
    tasks: Options
    evaluator: Options
    series: dict[str, SeriesTable]


def load(path: Path | None) -> Settings:
    """The settings that come with the study, or those of another TOML file.

    Raises:
        ConfigError: The file cannot be read, or its settings are not valid.
    """
    try:
        source = files("nas.experiments.fidelity").joinpath("fidelity.toml") if path is None else path
        settings = Settings.model_validate(tomllib.loads(source.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"key {'.'.join(map(str, first['loc']))!r}: {first['msg']}; correct it") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"the settings cannot be read: {error}") from None
    if "ways" not in settings.tasks:
        raise ConfigError("key 'tasks.ways' is missing; give it: a cell that diverges counts as guessing")
    if settings.reference.series not in settings.series:
        name = settings.reference.series
        raise ConfigError(f"reference series {name!r} is not known: {nearest(name, settings.series)}")
    for name, series in settings.series.items():
        if sorted(set(series.rungs)) != series.rungs:
            raise ConfigError(f"the rungs {series.rungs} of series {name!r} do not ascend; sort them")
    return settings


def config(settings: Settings, series: SeriesTable, path: str) -> Config:
    """A series as a search's config.

    Args:
        settings: All settings.
        series: Series to run.
        path: Path of the tasks' data; empty for that of the settings.

    Raises:
        ConfigError: A table of the settings is not valid.
    """
    result = configs.from_json(
        {
            "space": settings.space,
            "tasks": {**settings.tasks, **({"path": path} if path else {})},
            "evaluator": {**settings.evaluator, **series.evaluator},
            "search": {"device": "cpu"},
        }
    )
    configs.build(result)
    return result
