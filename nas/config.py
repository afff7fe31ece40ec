"""A search's config: a TOML file with one table per room, checked to the last key before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeGuard, get_args

from pydantic import ValidationError

from . import registry
from .config_paths import absolute_paths
from .config_tables import (
    Component,
    Config,
    ConstraintsTable,
    ContenderTable,
    EvaluatorTable,
    FinalTable,
    SearchTable,
    Table,
    name_and_options,
)
from .constraints import Constrained
from .errors import ConfigError, nearest, shown
from .executors.attempt import attempt
from .front import check_costs, objectives_of
from .protocols import Controller, Cost, Costed, Evaluator, Featured, Measurer, SearchSpace
from .toml_text import DEEPEST, override, parse, place

__all__ = [
    "CONTROL",
    "QUICK_START",
    "Component",
    "Config",
    "ConstraintsTable",
    "ContenderTable",
    "EvaluatorTable",
    "FinalTable",
    "KeyFault",
    "Parts",
    "SearchTable",
    "Table",
    "build",
    "features_of",
    "from_json",
    "load",
    "measures",
    "shipped",
]

QUICK_START = "quickstart"
CONTROL = "random"
"""The controller of a search's control."""
LONGEST = 1_000_000
"""Characters of a config file: far more than any needs, and few enough to parse at once."""


@dataclass(frozen=True)
class Parts:
    """What a config stands for. The baseline's evaluator is the evaluator with another space. `limited` is the space
    within search.constraints, which the controller proposes from; without constraints it is the space."""

    space: SearchSpace
    limited: SearchSpace
    controller: Controller
    evaluator: Evaluator
    baseline: SearchSpace
    baseline_evaluator: Evaluator

    @property
    def measurer(self) -> Measurer:
        """The evaluator, where it makes networks. Raises ConfigError where it does not."""
        return _measuring(self.evaluator)

    @property
    def baseline_measurer(self) -> Measurer:
        """That of the baseline."""
        return _measuring(self.baseline_evaluator)


class KeyFault(ConfigError):
    """What is wrong with one key: `path` has the names of the tables that it is in, then its own."""

    def __init__(self, message: str, path: Sequence[str]) -> None:
        super().__init__(message)
        self.path = tuple(path)


def load(
    source: str | None, overrides: Sequence[str] = (), *, space: str | None = None, controller: str | None = None
) -> Config:
    """Reads a TOML file, or a shipped experiment by its name, puts `space` and `controller`, with default options, in
    place of its own, and applies `KEY=VALUE` overrides. Its paths are made absolute.

    Raises ConfigError with file, line, key, the rule and the nearest valid name.
    """
    where, text = _read(QUICK_START if source is None else source)
    data = parse(where, text)
    named = {room: name for room, name in (("space", space), ("controller", controller)) if name is not None}
    data |= {room: {"name": name} for room, name in named.items()}
    for change in overrides:
        override(data, change)
    try:
        config = absolute_paths(from_json(data))
        build(config)
    except KeyFault as error:
        found = place(where, text, error.path, overrides)
        by_option = error.path[0] in named and not found.startswith("--set")
        raise ConfigError(f"{f'--{error.path[0]}' if by_option else found}: {error}") from None
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
    if search.control == config.controller.name == CONTROL:
        raise KeyFault(
            "the controller is random, and its control would be the same search; leave it out", ("search", "control")
        )
    space = _made("space", config.space, "space")
    baseline = _made("space", final.baseline, "final", "baseline")
    if baseline.name == space.name and name_and_options(final.baseline) != name_and_options(config.space):
        raise KeyFault(
            f"the baseline is of the searched space {space.name!r} with other options, and its architectures would be "
            "taken for the space's own: use the same options, or another space",
            ("final", "baseline"),
        )
    given = _given(config)
    measurer = _made("evaluator", evaluator, "evaluator", space=space, **given)
    limited = _limited(config, space, measurer, costs)
    features = features_of(config, measurer)
    controller = _made("controller", config.controller, "controller", space=limited, seed=search.seed, **features)
    if _tells_costs(measurer):
        _, error = attempt(check_costs, objectives_of(config.to_json()), get_args(Cost))
        if error is not None:
            raise KeyFault(str(error), ("controller", "objectives"))
    return Parts(
        space=space,
        limited=limited,
        controller=controller,
        evaluator=measurer,
        baseline=baseline,
        baseline_evaluator=_made("evaluator", evaluator, "evaluator", space=baseline, **given),
    )


def measures(evaluator: Evaluator) -> TypeGuard[Measurer]:
    """Whether an evaluator can do what the finals need."""
    return hasattr(evaluator, "measure")


def _measuring(evaluator: Evaluator) -> Measurer:
    if not measures(evaluator):
        raise ConfigError("the evaluator of this run makes no networks: there is none to measure, export or adapt")
    return evaluator


def _given(config: Config) -> dict[str, Any]:
    """What the evaluator takes beside the space. Raises KeyFault for tasks that it needs or has no use for."""
    evaluator = config.evaluator
    takes, error = attempt(registry.options_of, _found("evaluator", evaluator, "evaluator"))
    given: dict[str, Any] = {}
    if error is not None or "tasks" in takes:
        if config.tasks is None:
            raise KeyFault("key 'tasks' is missing; give it", ("tasks",))
        given["tasks"] = _made("tasks", config.tasks, "tasks")
    elif config.tasks is not None:
        raise KeyFault(f"evaluator {evaluator.name!r} has no tasks; leave out the table", ("tasks",))
    if error is not None or "learner" in takes:
        given["learner"] = _made("learner", evaluator.learner, "evaluator", "learner")
    elif evaluator.learner != EvaluatorTable().learner:
        raise KeyFault(f"evaluator {evaluator.name!r} has no learner; leave it out", ("evaluator", "learner"))
    if error is not None or "device" in takes:
        given["device"] = config.search.device
    return given


def features_of(config: Config, evaluator: Evaluator) -> dict[str, Any]:
    """What the controller takes of zero-cost scores. Raises KeyFault where it needs some and the evaluator has none."""
    takes, error = attempt(registry.options_of, _found("controller", config.controller, "controller"))
    if error is not None or "features" not in takes:
        return {}
    if isinstance(evaluator, Featured):
        return {"features": evaluator.features}
    if config.controller.options.get("zero_cost"):
        raise KeyFault(
            f"evaluator {config.evaluator.name!r} tells no zero-cost scores (nas.protocols.Featured), as "
            "controller.zero_cost needs; leave it out",
            ("controller", "zero_cost"),
        )
    return {"features": None}


def shipped() -> list[str]:
    """The names of the experiments that come with the package."""
    folder = _shipped()
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _shipped() -> Traversable:
    return files("nas.experiments").joinpath("configs")


def _limited(
    config: Config, space: SearchSpace, evaluator: Any, costs: MutableMapping[str, float] | None
) -> SearchSpace:
    table = config.search.constraints
    if table is None or not table.limits:
        return space
    if not _tells_costs(evaluator):
        raise KeyFault(
            f"evaluator {config.evaluator.name!r} does not tell what a network costs (nas.protocols.Costed), as "
            "search.constraints need; leave them out",
            ("search", "constraints"),
        )
    return Constrained(space, table.limits, evaluator, costs)


def _tells_costs(evaluator: Any) -> TypeGuard[Costed]:
    """Costed, by more than the name: an evaluator may have an option `cost`."""
    return callable(getattr(evaluator, "cost", None))


def _check_rungs(config: Config) -> None:
    try:
        config.fidelity.budgets(config.evaluator.budget)
    except ConfigError as error:
        raise KeyFault(f"search.fidelity {error}", ("search", "fidelity", "rungs")) from error


def _made(room: registry.Room, table: str | Component, *path: str, **given: Any) -> Any:
    """The component of a table. A ConfigError of it is about the option that it names first, else about its name."""
    name, options = name_and_options(table)
    _found(room, table, *path)
    try:
        keys = () if isinstance(table, str) else type(table).model_fields
        return registry.create(room, name, options, beside=keys, **given)
    except ConfigError as error:
        text = str(error)
        named = {option: re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text) for option in options}
        places = [(found.start(), option) for option, found in named.items() if found]
        raise KeyFault(text, (*path, min(places)[1] if places else "name")) from error


def _found(room: registry.Room, table: str | Component, *path: str) -> Callable[..., Any]:
    try:
        return registry.find(room, name_and_options(table)[0])
    except ConfigError as error:
        raise KeyFault(str(error), (*path, "name")) from error


def _read(source: str) -> tuple[str, str]:
    if source in shipped():
        return source, _shipped().joinpath(f"{source}.toml").read_text("utf-8")
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
    return str(detail["msg"]).removeprefix("Value error, ")
