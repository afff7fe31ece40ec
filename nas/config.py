"""A search's config: a TOML file with one table per room, checked to the last key before anything runs."""

from __future__ import annotations

import math
import re
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from . import own, registry
from .constraints import Constrained
from .errors import ConfigError, nearest, shown
from .fidelity import ONE_RUNG, Fidelity
from .protocols import Controller, Cost, Costed, Measurer, SearchSpace
from .toml_text import DEEPEST, override, parse, place

QUICK_START = "quickstart"
LONGEST = 1_000_000
"""Characters of a config file: far more than any needs, and few enough to parse at once."""


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


class FidelityTable(Table):
    """Asynchronous successive halving (`nas.fidelity`), on where the table is given.

    rungs  budgets, each 1 / eta of the one above; the highest is the evaluator's
    eta    of the candidates of a rung the best 1 / eta are trained on to the next
    """

    rungs: Annotated[int, Field(ge=1, le=30)] = 3
    eta: Annotated[int, Field(ge=2, le=1000)] = 3


def _limits(given: Any) -> float | list[float]:
    limits = [0, given] if isinstance(given, int | float) else given
    numbers = isinstance(limits, list) and [n for n in limits if type(n) in (int, float) and 0 <= n < math.inf]
    if isinstance(given, bool) or not numbers or len(limits) != 2 or numbers != limits or limits[0] > limits[1]:
        raise PydanticCustomError("limits", "Input should be the most, or [least, most]: numbers from 0")
    return [float(n) for n in limits] if given is limits else float(given)


Limits = Annotated[float | list[float], PlainValidator(_limits)]


class ConstraintsTable(Table):
    """What a candidate's network may cost: the most, or [least, most]. What lies outside is never proposed.

    parameters  learned numbers
    flops       of one input's forward pass
    latency_ms  milliseconds of it on this machine's device, which makes a search one that only its own resume repeats
    """

    parameters: Limits | None = None
    flops: Limits | None = None
    latency_ms: Limits | None = None

    @property
    def limits(self) -> dict[Cost, tuple[float, float]]:
        given = {"parameters": self.parameters, "flops": self.flops, "latency_ms": self.latency_ms}
        limits: dict[Cost, tuple[float, float]] = {}
        for cost in get_args(Cost):
            value = given[cost]
            if value is not None:
                limits[cost] = (value[0], value[1]) if isinstance(value, list) else (0.0, value)
        return limits


class SearchTable(Table):
    """How much is searched and where.

    trials      candidates asked for; promotions come on top
    workers     worker processes; 'auto' is one per processor, or one per GPU
    deadline_s  seconds after which a candidate is given up as failed; 0 is never
    """

    trials: Annotated[int, Field(ge=1, le=10**7)] = 40
    workers: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]{1,4})?)$")] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    deadline_s: Annotated[float, Field(ge=0)] = 0.0
    fidelity: FidelityTable | None = None
    constraints: ConstraintsTable | None = None


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
    def files(self) -> dict[str, str]:
        """The texts of the files of a person's own that the config names, by path. Raises ConfigError as they do."""
        return own.texts(_name_and_options(table)[0] for table in (self.space, self.final.baseline))

    @property
    def final_budget(self) -> int:
        return self.final.budget or self.evaluator.budget

    @property
    def fidelity(self) -> Fidelity:
        table = self.search.fidelity
        return ONE_RUNG if table is None else Fidelity(table.rungs, table.eta)

    @property
    def budgets(self) -> tuple[int, ...]:
        """Outer steps of the candidates' rungs, rising to the evaluator's budget."""
        return self.fidelity.budgets(self.evaluator.budget)


@dataclass(frozen=True)
class Parts:
    """What a config stands for. The baseline's evaluator is the evaluator with another space. `limited` is the space
    within search.constraints, which the controller proposes from; without constraints it is the space."""

    space: SearchSpace
    limited: SearchSpace
    controller: Controller
    evaluator: Measurer
    baseline: SearchSpace
    baseline_evaluator: Measurer


class KeyFault(ConfigError):
    """What is wrong with one key: `path` has the names of the tables that it is in, then its own."""

    def __init__(self, message: str, path: Sequence[str]) -> None:
        super().__init__(message)
        self.path = tuple(path)


def load(source: str | None, overrides: Sequence[str] = (), *, space: str | None = None) -> Config:
    """Reads a TOML file, or a shipped experiment by its name, puts `space`, with its default options, in place of its
    space, and applies `KEY=VALUE` overrides.

    Raises ConfigError with file, line, key, the rule and the nearest valid name.
    """
    where, text = _read(QUICK_START if source is None else source)
    data = parse(where, text)
    if space is not None:
        data["space"] = {"name": space}
    for change in overrides:
        override(data, change)
    try:
        config = _with_paths(from_json(data))
        build(config)
    except KeyFault as error:
        found = place(where, text, error.path, overrides)
        by_option = space is not None and error.path[:1] == ("space",) and not found.startswith("--set")
        raise ConfigError(f"{'--space' if by_option else found}: {error}") from None
    return config


def from_json(data: object) -> Config:
    """The config of nested tables. Raises ConfigError naming the first key at fault."""
    _check_plain(data)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise _explained(error) from None


def build(config: Config, costs: MutableMapping[str, float] | None = None) -> Parts:
    """Makes the components; `costs` is where those of search.constraints are kept (`nas.constraints`). Raises
    ConfigError for an unknown name or option, or a value that is refused."""
    final, search, evaluator = config.final, config.search, config.evaluator
    _check_rungs(config)
    space = _made("space", config.space, "space")
    baseline = _made("space", final.baseline, "final", "baseline")
    if baseline.name == space.name and _name_and_options(final.baseline) != _name_and_options(config.space):
        raise KeyFault(
            f"the baseline is of the searched space {space.name!r} with other options, and its architectures would be "
            "taken for the space's own: use the same options, or another space",
            ("final", "baseline"),
        )
    given = {
        "tasks": _made("tasks", config.tasks, "tasks"),
        "learner": _made("learner", evaluator.learner, "evaluator", "learner"),
        "device": search.device,
    }
    measurer = _made("evaluator", evaluator, "evaluator", space=space, **given)
    limited = _limited(config, space, measurer, costs)
    return Parts(
        space=space,
        limited=limited,
        controller=_made("controller", config.controller, "controller", space=limited, seed=search.seed),
        evaluator=measurer,
        baseline=baseline,
        baseline_evaluator=_made("evaluator", evaluator, "evaluator", space=baseline, **given),
    )


def shipped() -> list[str]:
    """The names of the experiments that come with the package."""
    folder = files("nas.experiments")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _limited(
    config: Config, space: SearchSpace, evaluator: Any, costs: MutableMapping[str, float] | None
) -> SearchSpace:
    table = config.search.constraints
    if table is None or not table.limits:
        return space
    if not isinstance(evaluator, Costed):
        raise KeyFault(
            f"evaluator {config.evaluator.name!r} does not tell what a network costs (nas.protocols.Costed), as "
            "search.constraints need; leave them out",
            ("search", "constraints"),
        )
    return Constrained(space, table.limits, evaluator, costs)


def _check_rungs(config: Config) -> None:
    try:
        config.fidelity.budgets(config.evaluator.budget)
    except ConfigError as error:
        raise KeyFault(f"search.fidelity {error}", ("search", "fidelity", "rungs")) from error


def _made(room: registry.Room, table: str | Component, *path: str, **given: Any) -> Any:
    """The component of a table. A ConfigError of it is about the option that it names first, else about its name."""
    name, options = _name_and_options(table)
    try:
        keys = () if isinstance(table, str) else type(table).model_fields
        return registry.create(room, name, options, beside=keys, **given)
    except ConfigError as error:
        text = str(error)
        named = {option: re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text) for option in options}
        places = [(found.start(), option) for option, found in named.items() if found]
        raise KeyFault(text, (*path, min(places)[1] if places else "name")) from error


def _with_paths(config: Config) -> Config:
    """The config with absolute paths of a person's own spaces, for it is read again in whatever folder."""
    space = config.space.model_copy(update={"name": own.absolute(config.space.name)})
    baseline = config.final.baseline
    if isinstance(baseline, str):
        baseline = own.absolute(baseline)
    else:
        baseline = baseline.model_copy(update={"name": own.absolute(baseline.name)})
    final = config.final.model_copy(update={"baseline": baseline})
    return config.model_copy(update={"space": space, "final": final})


def _name_and_options(table: str | Component) -> tuple[str, dict[str, Any]]:
    return (table, {}) if isinstance(table, str) else (table.name, table.options)


def _read(source: str) -> tuple[str, str]:
    if source in shipped():
        return source, files("nas.experiments").joinpath(f"{source}.toml").read_text("utf-8")
    try:
        with Path(source).open(encoding="utf-8-sig") as file:
            text = file.read(LONGEST + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no file or shipped experiment {source!r}: {nearest(source, shipped())}, or give a .toml file"
        ) from None
    except OSError as error:
        raise ConfigError(f"config {shown(source)} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"config {source!r} cannot be read: {error}; save it as UTF-8") from None
    if len(text) > LONGEST:
        raise ConfigError(f"config {source!r} has more than {LONGEST} characters; is it the right file?")
    return source, text


def _check_plain(data: object) -> None:
    """Raises ConfigError for values that no key takes and that would break what comes after: numbers beyond those of
    TOML, dates, tables in tables in tables without end."""
    left: list[tuple[tuple[str, ...], int, object]] = [((), 0, data)]
    while left:
        path, depth, value = left.pop()
        key = shown(".".join(path[:DEEPEST]))
        if depth > DEEPEST:
            raise KeyFault(f"key {key} is nested too deeply", path[:2])
        if isinstance(value, dict):
            left += [((*path, str(name)), depth + 1, inner) for name, inner in value.items()]
        elif isinstance(value, list):
            left += [(path, depth + 1, inner) for inner in value]
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise KeyFault(f"key {key} is a number beyond 64 bits; give a smaller one", path)
        elif isinstance(value, date | datetime | time):
            raise KeyFault(f"key {key} is {value}, a date or time, which no key takes; if it is a text, quote it", path)


def _explained(error: ValidationError) -> KeyFault:
    """The first key at fault, and why. Where a table and another type would do, a table is judged as a table."""
    details = error.errors(include_url=False)
    about = [detail for detail in details if detail["loc"][:2] == details[0]["loc"][:2]]
    deepest = max(about, key=lambda detail: len(detail["loc"]))
    location = deepest["loc"]
    # The third is pydantic's name for the type tried, but in a table in a table, which is tried as nothing else.
    tried = 0 if _table(location[:2]) else 1
    path = [str(part) for part in (*location[:2], *location[2 + tried :])]
    key = shown(".".join(path)) if path else "the config"
    if deepest["type"] == "extra_forbidden":
        table = _table(path[:-1])
        return KeyFault(f"key {key} is not known: {nearest(path[-1], table.model_fields if table else ())}", path)
    if deepest["type"] == "missing":
        return KeyFault(f"key {key} is missing; give it", path)
    reasons = dict.fromkeys(_reason(detail) for detail in about if len(detail["loc"]) == len(location))
    return KeyFault(f"key {key} is {shown(deepest['input'])}: {'; '.join(reasons)}", path)


def _table(path: Sequence[int | str]) -> type[Table] | None:
    """The kind of table with fixed keys that stands at a path, whose parts are keys; None for anything else."""
    table: type[Table] | None = Config
    for name in path:
        field = table.model_fields.get(str(name)) if table else None
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        table = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Table)), None)
    return table


def _reason(detail: Any) -> str:
    if detail["type"] == "model_type":
        return "Input should be a table"
    if detail["type"] == "string_pattern_mismatch":
        return "Input should be 'auto', 'cpu', 'cuda' or 'cuda:N'"
    return str(detail["msg"])
