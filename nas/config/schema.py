"""Schema of a config: the keys of its tables, their types, ranges and defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from ..errors import ConfigError
from ..protocols.evaluators import Cost
from ..registry import builtin, user_files
from ..search.fidelity import ONE_RUNG, Fidelity
from ..trial import Duplicates

PARTS: Mapping[str, builtin.Room] = {
    "architecture": "space",
    "augmentation": "augmentation",
    "optimizer": "optimizer",
}
"""Components that a table of the config may name inside it, where the table's own component takes them: their kinds."""
LEAST_DEADLINE_S = 1.0
"""Least deadline of an evaluation; a network is not even built and checked in less on a busy machine."""

LEAST_MEMORY_GB = 0.5
"""Least limit of a worker's memory; torch itself takes a quarter of it."""


AUTO = "auto"
"""Engine that follows from the evaluator: this process for a table, worker processes otherwise."""


class KeyFault(ConfigError):
    """A key of a config that cannot be used.

    Attributes:
        path: The names of the tables that the key is in, outermost first, then the key's own.
    """

    def __init__(self, message: str, path: Sequence[str]) -> None:
        super().__init__(message)
        self.path = tuple(path)


class Table(BaseModel):
    """A table with fixed keys. Values are not coerced to other types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Component(BaseModel):
    """A table that names a component; its other keys are the component's options."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class SpaceTable(Component):
    """The search space.

    Attributes:
        name: Name of the space.
        architecture: The space of the networks, by name or as a table; for spaces that choose more than networks.
    """

    architecture: str | Component | None = None


class TasksTable(Component):
    """The task family.

    Attributes:
        name: Name of the task family.
        augmentation: An augmentation of training images, by name or as a table; for families that take one.
    """

    augmentation: str | Component | None = None


class EvaluatorTable(Component):
    """The evaluator.

    Attributes:
        name: Name of the evaluator.
        learner: A learner's name, or a table with its name and options; for evaluators that take one.
        augmentation: An augmentation of training images likewise.
        optimizer: An optimizer of the network's weights likewise.
        budget: Outer steps of a candidate's meta-training; epochs for an evaluator that looks up a table.
    """

    name: str = "meta"
    learner: str | Component = "anil"
    augmentation: str | Component | None = None
    optimizer: str | Component | None = None
    budget: Annotated[int, Field(ge=1, le=10**9)] = 200


class FidelityTable(Table):
    """Asynchronous successive halving (`nas.search.fidelity`), used where the table is given.

    Attributes:
        rungs: Number of budgets, each 1 / eta of the one above; the highest is the evaluator's.
        eta: The best 1 / eta of a rung's candidates are trained to the next.
    """

    rungs: Annotated[int, Field(ge=1, le=30)] = 3
    eta: Annotated[int, Field(ge=2, le=1000)] = 3


def _limits(value: Any) -> float | list[float]:
    limits = [0, value] if isinstance(value, int | float) else value
    numbers = isinstance(limits, list) and [n for n in limits if type(n) in (int, float) and 0 <= n < math.inf]
    if isinstance(value, bool) or not numbers or len(limits) != 2 or numbers != limits or limits[0] > limits[1]:
        raise ValueError("Input should be the most, or [least, most]: numbers from 0")
    return [float(n) for n in limits] if value is limits else float(value)


Limits = Annotated[float | list[float], PlainValidator(_limits)]


class ConstraintsTable(Table):
    """Limits on the costs of a candidate's network, each the most or [least, most]. Others are never proposed.

    Attributes:
        parameters: Number of learned parameters.
        flops: FLOPs of one input's forward pass.
        latency_ms: Milliseconds of it on this machine's device. Only a resumed run repeats decisions by it; a new
            search may decide differently.
    """

    parameters: Limits | None = None
    flops: Limits | None = None
    latency_ms: Limits | None = None

    @property
    def limits(self) -> dict[Cost, tuple[float, float]]:
        """The least and the most of each limited cost."""
        values = {"parameters": self.parameters, "flops": self.flops, "latency_ms": self.latency_ms}
        limits: dict[Cost, tuple[float, float]] = {}
        for cost in get_args(Cost):
            value = values[cost]
            if value is not None:
                limits[cost] = (value[0], value[1]) if isinstance(value, list) else (0.0, value)
        return limits


def _deadline(seconds: float) -> float:
    if 0 < seconds < LEAST_DEADLINE_S:
        raise ValueError(f"Input should be 0, for none, or at least {LEAST_DEADLINE_S:g} second")
    return seconds


def _memory(gigabytes: float) -> float:
    if 0 < gigabytes < LEAST_MEMORY_GB:
        raise ValueError(f"Input should be 0, for none, or at least {LEAST_MEMORY_GB:g} GB")
    return gigabytes


class SearchTable(Table):
    """Extent of the search, and where it runs.

    Attributes:
        trials: Number of candidates; promotions are not counted.
        seconds: Time budget: the sum of the evaluations' seconds, simulated for a table, after which no evaluation is
            started; 0 for none.
        wall_clock_s: Limit of the whole run's seconds, finals included: the search ends as early as these are estimated
            to need (`nas.runs.wall_clock`); 0 for none.
        engine: Where candidates are evaluated: 'auto' for worker processes of this machine, and for a table this
            process; or an engine by name, or a table of its name and options.
        workers: Number of candidates evaluated at a time; 'auto' for one per processor, and at most four per GPU.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        seed: Seed of the controller and of the evaluations.
        repeats: Treatment of duplicates, networks proposed before: 'known' takes the first one's result, 'evaluated'
            evaluates them as if they were new.
        deadline_s: Seconds after which the evaluation of a candidate counts as failed, at least 1; 0 for none. The
            start of a worker process and the checks before the search do not count.
        memory_gb: Memory of a worker process in GB, at least 0.5, beyond which a candidate is out of memory; 0 for no
            limit; 'auto' for nine tenths of this machine's memory on the CPU, and no limit with GPUs.
        gpu_memory_gb: The same of the memory of each GPU, as torch allocates it; 0 for no limit.
        control: 'random' adds a random-search control, a second search with the same budget.
        fidelity: Successive halving.
        constraints: Limits on the costs of networks.
    """

    trials: Annotated[int, Field(ge=1, le=10**7)] = 40
    seconds: Annotated[float, Field(ge=0, le=10**12)] = 0.0
    wall_clock_s: Annotated[float, Field(ge=0, le=10**9)] = 0.0
    engine: str | Component = AUTO
    workers: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]{1,4})?)$")] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    repeats: Duplicates = "known"
    deadline_s: Annotated[float, Field(ge=0, le=10**9), AfterValidator(_deadline)] = 0.0
    memory_gb: Annotated[float, Field(ge=0, le=10**6), AfterValidator(_memory)] | Literal["auto"] = "auto"
    gpu_memory_gb: Annotated[float, Field(ge=0, le=10**6), AfterValidator(_memory)] = 0.0
    control: Literal["none", "random"] = "none"
    fidelity: FidelityTable | None = None
    constraints: ConstraintsTable | None = None


class FinalTable(Table):
    """Final measurements of the finalists, the winner and the baseline network.

    Attributes:
        top: Number of finalists, the candidates with the best scores.
        seeds: Meta-trainings of winner and baseline network for the test, and of each finalist on average: one that is
            rejected early has fewer (`nas.runs.successive_rejects`).
        budget: Outer steps of each meta-training; 0 for the evaluator's budget.
        validation_tasks: Fresh validation tasks, by which the winner is chosen.
        tasks: Test tasks, on which the winner and the baseline network are measured once.
        baseline: A space of one hand-designed network, which is trained and tested like the winner.
        attribution: Whether the parts of a winning recipe (space `recipe`) are exchanged with the default's one at a
            time, to say what each contributed. Each part takes two more measurements of the winner's number of seeds.
    """

    top: Annotated[int, Field(ge=1, le=1000)] = 3
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    budget: Annotated[int, Field(ge=0, le=10**9)] = 0
    validation_tasks: Annotated[int, Field(ge=2, le=10**6)] = 600
    tasks: Annotated[int, Field(ge=2, le=10**6)] = 600
    baseline: str | Component = "conv4"
    attribution: bool = True


class ContenderTable(Component):
    """A controller of a comparison with options, named by its table.

    Attributes:
        name: Name of the controller; empty for the table's name.
        budget: Budget in place of the evaluator's.
        fidelity: Successive halving in place of the search's.
        repeats: Treatment of duplicates in place of the search's.
    """

    name: str = ""
    budget: Annotated[int, Field(ge=1, le=10**9)] | None = None
    fidelity: FidelityTable | None = None
    repeats: Duplicates | None = None


class Config(Table):
    """A config: everything that a TOML file says of a run.

    Attributes:
        space: The search space.
        tasks: The task family, for evaluators that take one.
        controller: The controller.
        evaluator: The evaluator.
        search: Extent of the search.
        final: Final measurements.
        compare: Controllers by the names that `nas compare --controllers` takes besides those of the registry.
    """

    space: SpaceTable
    tasks: TasksTable | None = None
    controller: Component = Component(name="reinforce")
    evaluator: EvaluatorTable = EvaluatorTable()
    search: SearchTable = SearchTable()
    final: FinalTable = FinalTable()
    compare: dict[str, ContenderTable] = {}

    def to_json(self) -> dict[str, Any]:
        """The config as JSON values. What is not asked for has no key, nor have the usual values of
        `final.attribution`, `search.engine`, `search.wall_clock_s` and the limits of memory: so configs of earlier
        versions stay equal."""
        data = self.model_dump(mode="json")
        if not self.search.wall_clock_s:
            data["search"].pop("wall_clock_s")
        for key in ("engine", "memory_gb", "gpu_memory_gb"):
            if getattr(self.search, key) == SearchTable.model_fields[key].default:
                data["search"].pop(key)
        if self.final.attribution:
            data["final"].pop("attribution")
        for table in (data["space"], data["tasks"], data["evaluator"]):
            for part in PARTS if table is not None else ():
                if table.get(part) is None:
                    table.pop(part, None)
        return data

    @property
    def files(self) -> dict[str, str]:
        """The texts of the users' files that the config names, and of those beside them that they import, by path.
        Raises ConfigError where one cannot be read."""
        tables = (
            self.space,
            self.space.architecture,
            self.controller,
            self.final.baseline,
            self.evaluator.learner,
            self.tasks,
        )
        return user_files.texts(name_and_options(table)[0] for table in tables if table is not None)

    @property
    def final_budget(self) -> int:
        """Outer steps of each meta-training of the final measurements."""
        return self.final.budget or self.evaluator.budget

    @property
    def fidelity(self) -> Fidelity:
        """The rungs of the search."""
        table = self.search.fidelity
        return ONE_RUNG if table is None else Fidelity(table.rungs, table.eta)

    @property
    def budgets(self) -> tuple[int, ...]:
        """Outer steps of the rungs, rising to the evaluator's budget."""
        return self.fidelity.budgets(self.evaluator.budget)


def name_and_options(table: str | Component) -> tuple[str, dict[str, Any]]:
    """Name and options of a component's table, or of its name alone."""
    return (table, {}) if isinstance(table, str) else (table.name, table.options)
