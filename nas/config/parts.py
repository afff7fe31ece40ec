"""Components of a config: space, controller, evaluator, baseline network."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeGuard, get_args

from ..analysis.pareto_front import check_costs, objectives_of
from ..errors import ConfigError
from ..failures import attempt
from ..protocols import Controller, Cost, Costed, Evaluator, Featured, Measurer, Measuring, SearchSpace
from ..registry import builtin, components
from ..space.constraints import Constrained
from .schema import Component, Config, EvaluatorTable, KeyFault, name_and_options

CONTROL = "random"
"""The controller of a search's control."""


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


def build(config: Config, costs: MutableMapping[str, float] | None = None) -> Parts:
    """Makes the components; `costs` is where those of search.constraints are kept (`nas.space.constraints`). Raises
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
    return isinstance(evaluator, Measuring)


def _measuring(evaluator: Evaluator) -> Measurer:
    if not measures(evaluator):
        raise ConfigError("the evaluator of this run makes no networks: there is none to measure, export or adapt")
    return evaluator


def _given(config: Config) -> dict[str, Any]:
    """What the evaluator takes beside the space. Raises KeyFault for tasks that it needs or has no use for."""
    evaluator = config.evaluator
    takes, error = attempt(components.options_of, _found("evaluator", evaluator, "evaluator"))
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
    takes, error = attempt(components.options_of, _found("controller", config.controller, "controller"))
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
    """Whether an evaluator is `Costed` by a method, not by an option of that name, as a tabular evaluator has it."""
    return isinstance(evaluator, Costed) and callable(evaluator.cost)


def _check_rungs(config: Config) -> None:
    try:
        config.fidelity.budgets(config.evaluator.budget)
    except ConfigError as error:
        raise KeyFault(f"search.fidelity {error}", ("search", "fidelity", "rungs")) from error


def _made(room: builtin.Room, table: str | Component, *path: str, **given: Any) -> Any:
    """The component of a table. A ConfigError of it is about the option that it names first, else about its name."""
    name, options = name_and_options(table)
    _found(room, table, *path)
    try:
        keys = () if isinstance(table, str) else type(table).model_fields
        return components.create(room, name, options, beside=keys, **given)
    except ConfigError as error:
        text = str(error)
        named = {option: re.search(rf"(?<!\w){re.escape(option)}(?!\w)", text) for option in options}
        places = [(found.start(), option) for option, found in named.items() if found]
        raise KeyFault(text, (*path, min(places)[1] if places else "name")) from error


def _found(room: builtin.Room, table: str | Component, *path: str) -> Callable[..., Any]:
    try:
        return components.find(room, name_and_options(table)[0])
    except ConfigError as error:
        raise KeyFault(str(error), (*path, "name")) from error
