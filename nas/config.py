"""A search's config: a TOML file with one table per room, checked to the last key before anything runs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import registry
from .errors import ConfigError, nearest, shown
from .executors.attempt import attempt
from .fidelity import ONE_RUNG, Fidelity
from .places import names_of, place
from .protocols import Controller, Evaluator, Measurer, SearchSpace
from .repeats import Repeats

QUICK_START = "quickstart"
LONGEST, DEEPEST = 1_000_000, 16
"""Characters of a config file, and tables in tables: far more than any needs, and few enough to parse at once."""
DEEP_KEY = re.compile(rf"""(?<![\w"'-])(?:[\w"'-]+[ \t]*\.[ \t]*){{{DEEPEST}}}""")
"""A dotted key of too many parts, for which tomllib's memory grows with the square of their number."""


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
    """`budget` is in outer steps of meta-training, in a table in epochs; `learner` is a name, or a table with a name
    and options. It is for evaluators that take one."""

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


class SearchTable(Table):
    """How much is searched and where.

    trials      candidates asked for; promotions come on top
    seconds     of evaluations, summed over them, after which no more are begun; simulated in a table. 0 is no limit
    workers     worker processes; 'auto' is one per processor, or one per GPU
    repeats     of networks proposed before: 'known', the result is that of the first; 'evaluated', as if they were new
    deadline_s  seconds after which a candidate is given up as failed; 0 is never
    """

    trials: Annotated[int, Field(ge=1, le=10**7)] = 40
    seconds: Annotated[float, Field(ge=0, le=10**12)] = 0.0
    workers: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]{1,4})?)$")] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    repeats: Repeats = "known"
    deadline_s: Annotated[float, Field(ge=0)] = 0.0
    fidelity: FidelityTable | None = None


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


class ContenderTable(Component):
    """A controller of a comparison under a name of its own, with options; `name` is that of the controller, by default
    the table's. `fidelity` and `repeats` are in place of the search's."""

    name: str = ""
    fidelity: FidelityTable | None = None
    repeats: Repeats | None = None


class Config(Table):
    """A whole search, as its TOML file says it.

    tasks    for evaluators that have them
    compare  a table for each name that `nas compare --controllers` may say besides those of the controllers
    """

    space: Component
    tasks: Component | None = None
    controller: Component = Component(name="reinforce")
    evaluator: EvaluatorTable = EvaluatorTable()
    search: SearchTable = SearchTable()
    final: FinalTable = FinalTable()
    compare: dict[str, ContenderTable] = {}

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

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
    """What a config stands for. The baseline's evaluator is the evaluator with another space."""

    space: SearchSpace
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


def load(source: str | None, overrides: Sequence[str] = ()) -> Config:
    """Reads a TOML file, or a shipped experiment by its name, and applies `KEY=VALUE` overrides.

    Raises ConfigError with file, line, key, the rule and the nearest valid name.
    """
    where, text = _read(QUICK_START if source is None else source)
    data = _parse(where, text)
    for override in overrides:
        _override(data, override)
    try:
        config = from_json(data)
        build(config)
    except KeyFault as error:
        raise ConfigError(f"{place(where, text, error.path, overrides)}: {error}") from None
    return config


def from_json(data: object) -> Config:
    """The config of nested tables. Raises ConfigError naming the first key at fault."""
    _check_plain(data)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise _explained(error) from None


def build(config: Config) -> Parts:
    """Makes the components. Raises ConfigError for an unknown name or option, or a value that is refused."""
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
    given = _given(config)
    return Parts(
        space=space,
        controller=_made("controller", config.controller, "controller", space=space, seed=search.seed),
        evaluator=_made("evaluator", evaluator, "evaluator", space=space, **given),
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


def shipped() -> list[str]:
    """The names of the experiments that come with the package."""
    folder = files("nas.experiments")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _check_rungs(config: Config) -> None:
    try:
        config.fidelity.budgets(config.evaluator.budget)
    except ConfigError as error:
        raise KeyFault(f"search.fidelity {error}", ("search", "fidelity", "rungs")) from error


def _made(room: registry.Room, table: str | Component, *path: str, **given: Any) -> Any:
    """The component of a table. A ConfigError of it is about the option that it names first, else about its name."""
    name, options = _name_and_options(table)
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
        return registry.find(room, _name_and_options(table)[0])
    except ConfigError as error:
        raise KeyFault(str(error), (*path, "name")) from error


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


def _parse(where: str, text: str) -> dict[str, Any]:
    huge = re.search(r"[0-9_]{4000}", text)  # Python reads no decimal number of more than 4,300 digits
    if huge:
        line = text.count("\n", 0, huge.start()) + 1
        raise ConfigError(f"{where}:{line}: this holds a number of thousands of digits; give a smaller one")
    try:
        return _toml(text)
    except ValueError as error:
        found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        place = f"{where}:{found[1]}" if found else where
        raise ConfigError(f"{place}: this is not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{where} is nested too deeply to be a config") from None


def _toml(text: str) -> dict[str, Any]:
    """The tables of a text. Raises ValueError, or RecursionError for one that is nested deeply."""
    if DEEP_KEY.search(text):
        raise RecursionError
    return tomllib.loads(text)


def _override(data: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    names = names_of(key)
    if not equals or not all(names):
        raise ConfigError(f"--set {shown(text)}: write it as TABLE.KEY=VALUE, for example --set search.trials=20")
    table = data
    for name in names[:-1]:
        inner = table.setdefault(name, {})
        if isinstance(inner, str):  # `learner = "anil"` and `--set evaluator.learner.steps=3` together
            inner = table[name] = {"name": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {shown(text)}: {name!r} is a value, not a table")
        table = inner
    table[names[-1]] = _value(value.strip())


def _value(text: str) -> Any:
    """A TOML value; what is not one is a string, so that paths need no quotes."""
    try:
        parsed = _toml(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


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
