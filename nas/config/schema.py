"""The tables of a config: which keys there are, what each may be, and what it is when it is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from ..errors import ConfigError
from ..protocols import Cost
from ..registry import user_files
from ..search.fidelity import ONE_RUNG, Fidelity
from ..trial import Duplicates


class KeyFault(ConfigError):
    """What is wrong with one key: `path` has the names of the tables that it is in, then its own."""

    def __init__(self, message: str, path: Sequence[str]) -> None:
        super().__init__(message)
        self.path = tuple(path)


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
    """Asynchronous successive halving (`nas.search.fidelity`), on where the table is given.

    rungs  budgets, each 1 / eta of the one above; the highest is the evaluator's
    eta    of the candidates of a rung the best 1 / eta are trained on to the next
    """

    rungs: Annotated[int, Field(ge=1, le=30)] = 3
    eta: Annotated[int, Field(ge=2, le=1000)] = 3


def _limits(given: Any) -> float | list[float]:
    limits = [0, given] if isinstance(given, int | float) else given
    numbers = isinstance(limits, list) and [n for n in limits if type(n) in (int, float) and 0 <= n < math.inf]
    if isinstance(given, bool) or not numbers or len(limits) != 2 or numbers != limits or limits[0] > limits[1]:
        raise ValueError("Input should be the most, or [least, most]: numbers from 0")
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
    seconds     of evaluations, summed over them, after which no more are begun; simulated in a table. 0 is no limit
    workers     worker processes; 'auto' is one per processor, or one per GPU
    repeats     of networks proposed before: 'known', the result is that of the first; 'evaluated', as if they were new
    deadline_s  seconds after which a candidate is given up as failed; 0 is never
    control     'random': a second search, at random with the same budget, stands beside the result
    """

    trials: Annotated[int, Field(ge=1, le=10**7)] = 40
    seconds: Annotated[float, Field(ge=0, le=10**12)] = 0.0
    workers: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]{1,4})?)$")] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    repeats: Duplicates = "known"
    deadline_s: Annotated[float, Field(ge=0, le=10**9)] = 0.0
    control: Literal["none", "random"] = "none"
    fidelity: FidelityTable | None = None
    constraints: ConstraintsTable | None = None


class FinalTable(Table):
    """How finalists are re-measured, and the winner and the baseline tested.

    top               finalists: the candidates with the best scores
    seeds             meta-trainings of winner and baseline for the test, and of each finalist on the average: one
                      that is dropped early has fewer (`nas.runs.successive_rejects`)
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
    the table's. `budget` is in place of the evaluator's, `fidelity` and `repeats` of the search's."""

    name: str = ""
    budget: Annotated[int, Field(ge=1, le=10**9)] | None = None
    fidelity: FidelityTable | None = None
    repeats: Duplicates | None = None


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
    def files(self) -> dict[str, str]:
        """The texts of the files of a person's own that the config names, and of those beside them that they import, by
        path. Raises ConfigError where one cannot be read."""
        return user_files.texts(
            name_and_options(table)[0] for table in (self.space, self.controller, self.final.baseline)
        )

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


def name_and_options(table: str | Component) -> tuple[str, dict[str, Any]]:
    """A component's name and options; it may be written as its name alone."""
    return (table, {}) if isinstance(table, str) else (table.name, table.options)
