"""A search's config: a TOML file with one table per room, checked to the last key before anything runs."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import registry
from .errors import ConfigError, nearest
from .protocols import Controller, Measurer, SearchSpace

QUICK_START = "quickstart"
ROOMS = ("space", "controller", "tasks", "evaluator")


class Table(BaseModel):
    """A table of the config with fixed keys; nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Component(BaseModel):
    """A table that names a component; its other keys are the component's own options."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class EvaluatorTable(Component):
    """`budget` is in outer steps of meta-training; `learner` is a name, or a table with a name and options."""

    name: str = "meta"
    learner: str | Component = "anil"
    budget: Annotated[int, Field(ge=1, le=10**9)] = 200


class SearchTable(Table):
    """How much is searched and where.

    workers     worker processes; 'auto' is one per processor, or one per GPU
    deadline_s  seconds after which a candidate is given up as failed; 0 is never
    """

    trials: Annotated[int, Field(ge=1, le=10**7)] = 40
    workers: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    device: str = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    deadline_s: Annotated[float, Field(ge=0)] = 0.0


class FinalTable(Table):
    """How finalists are re-measured, and the winner and the baseline tested.

    top               finalists: the candidates with the best scores
    seeds             meta-trainings of each finalist and of the baseline
    budget            outer steps of each; 0 is the evaluator's
    validation_tasks  fresh validation tasks that choose the winner
    tasks             test tasks, on which the winner and the baseline are measured once
    baseline          a space of one hand-designed network, trained and tested like the winner
    """

    top: Annotated[int, Field(ge=1, le=1000)] = 3
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    budget: Annotated[int, Field(ge=0, le=10**9)] = 0
    validation_tasks: Annotated[int, Field(ge=2, le=10**6)] = 600
    tasks: Annotated[int, Field(ge=2, le=10**6)] = 600
    baseline: str | Component = "conv4"


class Config(Table):
    """A whole search, as its TOML file says it."""

    space: Component
    tasks: Component
    controller: Component = Component(name="reinforce")
    evaluator: EvaluatorTable = EvaluatorTable()
    search: SearchTable = SearchTable()
    final: FinalTable = FinalTable()

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @property
    def final_budget(self) -> int:
        return self.final.budget or self.evaluator.budget


@dataclass(frozen=True)
class Parts:
    """What a config stands for. The baseline's evaluator is the evaluator with another space."""

    space: SearchSpace
    controller: Controller
    evaluator: Measurer
    baseline: SearchSpace
    baseline_evaluator: Measurer


def load(source: str | None, overrides: Sequence[str] = ()) -> Config:
    """Reads a TOML file, or a shipped experiment by its name, and applies `KEY=VALUE` overrides.

    Raises ConfigError with file, line, key, the rule and the nearest valid name.
    """
    where, text = _read(source or QUICK_START)
    data = _parse(where, text)
    for override in overrides:
        _override(data, override)
    try:
        config = from_json(data)
        build(config)
    except ConfigError as error:
        raise ConfigError(f"{_place(where, text, str(error), overrides)}{error}") from None
    return config


def from_json(data: Mapping[str, Any]) -> Config:
    """The config of nested tables. Raises ConfigError naming the first key at fault."""
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def build(config: Config) -> Parts:
    """Makes the components. Raises ConfigError for an unknown name or option, or a value that is refused."""
    final, search, evaluator = config.final, config.search, config.evaluator
    space = registry.create("space", config.space.name, config.space.options)
    baseline = _component("space", final.baseline)
    given = {
        "tasks": registry.create("tasks", config.tasks.name, config.tasks.options),
        "learner": _component("learner", evaluator.learner),
        "device": search.device,
    }
    return Parts(
        space=space,
        controller=registry.create(
            "controller", config.controller.name, config.controller.options, space=space, seed=search.seed
        ),
        evaluator=registry.create("evaluator", evaluator.name, evaluator.options, space=space, **given),
        baseline=baseline,
        baseline_evaluator=registry.create("evaluator", evaluator.name, evaluator.options, space=baseline, **given),
    )


def shipped() -> list[str]:
    """The names of the experiments that come with the package."""
    folder = files("nas.experiments")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _component(room: registry.Room, value: str | Component) -> Any:
    if isinstance(value, str):
        return registry.create(room, value, {})
    return registry.create(room, value.name, value.options)


def _read(source: str) -> tuple[str, str]:
    if source in shipped():
        return source, files("nas.experiments").joinpath(f"{source}.toml").read_text("utf-8")
    path = Path(source)
    try:
        return source, path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file or shipped experiment {source!r}: {nearest(source, shipped())}, or give a .toml file"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"config {source!r} cannot be read: {error}") from None


def _parse(where: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{where} is nested too deeply to be a config") from None


def _override(data: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set {text!r}: write it as TABLE.KEY=VALUE, for example --set search.trials=20")
    table = data
    for name in names[:-1]:
        inner = table.setdefault(name, {})
        if isinstance(inner, str):  # `learner = "anil"` and `--set evaluator.learner.steps=3` together
            inner = table[name] = {"name": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {text!r}: {name!r} is a value, not a table")
        table = inner
    table[names[-1]] = _value(value.strip())


def _value(text: str) -> Any:
    """A TOML value; what is not one is a string, so that paths need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _explain(error: ValidationError) -> str:
    detail = error.errors()[0]
    path = [str(part) for part in detail["loc"] if part not in ("str", "Component", "int", "constrained-int")]
    key, value = ".".join(path), detail["input"]
    if detail["type"] == "extra_forbidden":
        table = Config if len(path) == 1 else Config.model_fields[path[0]].annotation
        known = list(getattr(table, "model_fields", {}))
        return f"key {key!r} is not known: {nearest(path[-1], known)}"
    if detail["type"] == "missing":
        return f"key {key!r} is missing; give it"
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)
    shown = repr(value) if len(repr(value)) < 80 else repr(value)[:77] + "…"
    return f"key {key!r} is {shown}: {detail['msg']}"


def _place(where: str, text: str, message: str, overrides: Sequence[str]) -> str:
    """'file:line: ' of the key that a message quotes, as far as it can be told; overrides have no line."""
    quoted = re.findall(r"'([^']+)'", message)
    if not quoted:
        return f"{where}: "
    for name in (quoted[-1] if "option" in message else quoted[0], *quoted):
        key = name.split(".")[-1]
        if any(re.search(rf"\b{re.escape(key)}\b", override) for override in overrides):
            return "--set: "
        for number, line in enumerate(text.splitlines(), start=1):
            if re.match(rf"\s*\[?[\"']?(?:\w+\.)*{re.escape(key)}\b", line) or f'"{key}"' in line:
                return f"{where}:{number}: "
    return f"{where}: "
