"""Components of a config: search space, controller, evaluator, baseline network."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeGuard, get_args

from ..analysis.pareto_front import check_costs, objectives_of
from ..architecture import Architecture
from ..errors import ConfigError
from ..executors.engines import SlotRequest
from ..protocols.controllers import Controller
from ..protocols.evaluators import Cost, Costed, Evaluator, Featured, Measurer, Measuring, Tabled
from ..protocols.executors import CandidateExecutor
from ..protocols.learners import Learner
from ..protocols.recipes import RecipeMeasuring, RecipeSpace
from ..protocols.spaces import SearchSpace
from ..protocols.tasks import TaskFamily
from ..registry import builtin, components
from ..space.constraints import Constrained
from .schema import AUTO, PARTS, Component, Config, EvaluatorTable, KeyFault, SpaceTable, TasksTable, name_and_options

CONTROL = "random"
"""Name of the controller of the random-search control."""
INLINE, PROCESSES = "inline", "processes"
"""Names of the engines that 'auto' stands for."""


@dataclass(frozen=True)
class Parts:
    """Components of a config.

    Attributes:
        space: The search space.
        constrained: The space within search.constraints, from which the controller proposes; without constraints, the
            space itself.
        controller: The controller.
        evaluator: The evaluator.
        baseline: The space whose only architecture is the baseline network.
        baseline_evaluator: The evaluator with that space.
    """

    space: SearchSpace
    constrained: SearchSpace
    controller: Controller
    evaluator: Evaluator
    baseline: SearchSpace
    baseline_evaluator: Evaluator

    @property
    def measurer(self) -> Measurer:
        """The evaluator. Raises ConfigError where it makes no networks."""
        return _measurer(self.evaluator)

    @property
    def baseline_measurer(self) -> Measurer:
        """Evaluator of the baseline network. Raises ConfigError where it makes no networks."""
        return _measurer(self.baseline_evaluator)


def tasks_of(config: Config) -> TaskFamily:
    """The task family that a config names, without the other components.

    Raises:
        KeyFault: It names none, or one that cannot be made.
    """
    if config.tasks is None:
        raise KeyFault("tasks is missing; give it", ("tasks",))
    family: TaskFamily = _create("tasks", config.tasks, "tasks", **_optional_parts("tasks", config.tasks))
    return family


def space_of(config: Config) -> SearchSpace:
    """The search space that a config names, without the other components. Raises KeyFault where it cannot be made."""
    space: SearchSpace = _create("space", config.space, "space", **_optional_parts("space", config.space))
    return space


def build(config: Config, costs: MutableMapping[str, float] | None = None) -> Parts:
    """Creates the components of a config.

    Args:
        config: The config.
        costs: Where the costs of networks for search.constraints are kept (`nas.space.constraints`); None for a mapping
            of this search alone.

    Raises:
        ConfigError: A name or option is unknown, or a value is refused; a KeyFault has the path of the key.
    """
    final, search, table = config.final, config.search, config.evaluator
    _check_rungs(config)
    if search.control == config.controller.name == CONTROL:
        raise KeyFault(
            "the controller is random, and its control would be the same search; leave it out", ("search", "control")
        )
    space = space_of(config)
    baseline: SearchSpace = _create("space", final.baseline, "final", "baseline")
    if baseline.name == space.name and name_and_options(final.baseline) != name_and_options(config.space):
        raise KeyFault(
            f"the baseline is of the searched space {space.name!r} with other options, and its architectures would be "
            "taken for the space's own: use the same options, or another space",
            ("final", "baseline"),
        )
    arguments = _evaluator_arguments(config)
    evaluator: Evaluator = _create("evaluator", table, "evaluator", space=space, **arguments)
    if isinstance(space, RecipeSpace) and not isinstance(evaluator, RecipeMeasuring):
        raise KeyFault(
            f"evaluator {table.name!r} trains all candidates alike, and those of space {space.name!r} choose their own "
            "training; take evaluator 'recipe'",
            ("evaluator", "name"),
        )
    _check_engine(config, evaluator)
    constrained = _constrained(config, space, evaluator, costs)
    features = features_of(config, evaluator)
    controller: Controller = _create(
        "controller", config.controller, "controller", space=constrained, seed=search.seed, **features
    )
    if _tells_costs(evaluator):
        try:
            check_costs(objectives_of(config.to_json()), get_args(Cost))
        except ConfigError as error:
            raise KeyFault(str(error), ("controller", "objectives")) from None
    return Parts(
        space=space,
        constrained=constrained,
        controller=controller,
        evaluator=evaluator,
        baseline=baseline,
        baseline_evaluator=_create("evaluator", table, "evaluator", space=baseline, **arguments),
    )


def engine_of(config: Config, evaluator: Evaluator, slot_request: SlotRequest) -> CandidateExecutor:
    """The executor of the engine that a config names.

    Args:
        config: The config.
        evaluator: Its evaluator.
        slot_request: The slots that the run asks for.

    Raises:
        KeyFault: The engine refuses its options, or cannot be used here.
    """
    engine = INLINE if isinstance(evaluator, Tabled) else PROCESSES
    table = engine if config.search.engine == AUTO else config.search.engine
    executor: CandidateExecutor = _create("engine", table, "search", "engine", slot_request=slot_request)
    return executor


def _check_engine(config: Config, evaluator: Evaluator) -> None:
    """Raises KeyFault for an engine or an option that is not known, and for another engine than this process where the
    evaluator looks scores up in a table. The engine is not started."""
    name, options = name_and_options(config.search.engine)
    if name == AUTO:
        return
    if name != INLINE and isinstance(evaluator, Tabled):
        raise KeyFault(f"a table is looked up in this process; leave engine {name!r} out", ("search", "engine"))
    _find("engine", name, "search", "engine")
    try:
        components.checked_options("engine", name, options, beside=("name",), given=("slot_request",))
    except ConfigError as error:
        raise KeyFault(str(error), ("search", "engine")) from error


def measures(evaluator: Evaluator) -> TypeGuard[Measurer]:
    """Whether an evaluator makes networks, which the finals measure."""
    return isinstance(evaluator, Measuring)


def learner_of(measurer: Measurer, architecture: Architecture) -> Learner:
    """The learner that a candidate was trained with."""
    return measurer.learner_of(architecture) if isinstance(measurer, RecipeMeasuring) else measurer.learner


def features_of(config: Config, evaluator: Evaluator) -> dict[str, Any]:
    """Arguments of the controller for zero-cost scores (`nas.protocols.Featured`): none, or `features`.

    Raises:
        KeyFault: The controller needs scores, and the evaluator has none.
    """
    options = components.readable_options(_find("controller", config.controller, "controller"))
    if options is None or "features" not in options:
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


def _measurer(evaluator: Evaluator) -> Measurer:
    if not measures(evaluator):
        raise ConfigError("the evaluator of this run makes no networks: there is none to measure, export or adapt")
    return evaluator


def _evaluator_arguments(config: Config) -> dict[str, Any]:
    """Arguments of the evaluator except the space: `tasks`, `learner` and `device`, where its constructor has them.

    One whose annotations cannot be read is given all three. Raises KeyFault for a table that it needs or cannot use.
    """
    table = config.evaluator
    options = components.readable_options(_find("evaluator", table, "evaluator"))
    arguments: dict[str, Any] = {}
    if options is None or "tasks" in options:
        if config.tasks is None:
            raise KeyFault("key 'tasks' is missing; give it", ("tasks",))
        arguments["tasks"] = tasks_of(config)
    elif config.tasks is not None:
        raise KeyFault(f"evaluator {table.name!r} has no tasks; leave out the table", ("tasks",))
    if options is None or "learner" in options:
        arguments["learner"] = _create("learner", table.learner, "evaluator", "learner")
    elif table.learner != EvaluatorTable().learner:
        raise KeyFault(f"evaluator {table.name!r} has no learner; leave it out", ("evaluator", "learner"))
    if options is None or "device" in options:
        arguments["device"] = config.search.device
    return arguments | _optional_parts("evaluator", table)


def _optional_parts(room: builtin.Room, table: SpaceTable | TasksTable | EvaluatorTable) -> dict[str, Any]:
    """The components that a table names inside it, as arguments of its own component's constructor.

    Raises:
        KeyFault: The component takes none, or one that cannot be made.
    """
    parts: dict[str, Any] = {}
    known = components.readable_options(_find(room, table, room))
    for part, kind in PARTS.items():
        inner = getattr(table, part, None)
        if inner is None:
            continue
        if known is not None and part not in known:
            raise KeyFault(f"{room} {table.name!r} takes no {part}; leave it out", (room, part))
        parts[part] = _create(kind, inner, room, part)
    return parts


def _constrained(
    config: Config, space: SearchSpace, evaluator: Evaluator, costs: MutableMapping[str, float] | None
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


def _tells_costs(evaluator: object) -> TypeGuard[Costed]:
    """Whether an evaluator is Costed by a method, since it may have an option of the name `cost`."""
    return isinstance(evaluator, Costed) and callable(evaluator.cost)


def _check_rungs(config: Config) -> None:
    try:
        config.fidelity.budgets(config.evaluator.budget)
    except ConfigError as error:
        raise KeyFault(f"search.fidelity {error}", ("search", "fidelity", "rungs")) from error


def _create(room: builtin.Room, table: str | Component, *path: str, **arguments: Any) -> Any:
    """The component of a table. The KeyFault of an error has the key of the option that the message names first; where
    it names none, that of the component's name."""
    name, options = name_and_options(table)
    _find(room, table, *path)
    try:
        keys = () if isinstance(table, str) else type(table).model_fields
        return components.create(room, name, options, beside=keys, **arguments)
    except ConfigError as error:
        text = str(error)
        mentions = {option: re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text) for option in options}
        positions = [(mention.start(), option) for option, mention in mentions.items() if mention]
        raise KeyFault(text, (*path, min(positions)[1] if positions else "name")) from error


def _find(room: builtin.Room, table: str | Component, *path: str) -> Callable[..., Any]:
    try:
        return components.find(room, name_and_options(table)[0])
    except ConfigError as error:
        raise KeyFault(str(error), (*path, "name")) from error
