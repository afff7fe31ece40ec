"""Every component by name: the built-in ones, and those that other packages offer through entry points."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from . import own
from .errors import ConfigError, NasError, nearest, shown
from .executors.attempt import attempt, reason

Room = Literal["space", "controller", "evaluator", "tasks", "learner"]

BUILT_IN: Mapping[Room, Mapping[str, str]] = {
    "space": {
        "few-shot-cell": "nas.search_spaces.few_shot_cell.space:FewShotCell",
        "darts": "nas.search_spaces.cell_pairs.darts:Darts",
        "conv-chain": "nas.search_spaces.conv_chain.space:ConvChain",
        "recurrent-cell": "nas.search_spaces.recurrent_cell.space:RecurrentCell",
        "transformer": "nas.search_spaces.transformer.space:Transformer",
        "mlp": "nas.search_spaces.plain.mlp:Mlp",
        "mobile": "nas.search_spaces.mobile.space:Mobile",
        "nasnet": "nas.search_spaces.cell_pairs.nasnet:NasNet",
        "nas-bench-101": "nas.search_spaces.nas_bench_101.space:NasBench101",
        "nas-bench-201": "nas.search_spaces.nas_bench_201.space:NasBench201",
        "conv4": "nas.search_spaces.plain.fixed:Conv4",
        "mlp40": "nas.search_spaces.plain.fixed:Mlp40",
    },
    "controller": {
        "reinforce": "nas.controllers.reinforce:Reinforce",
        "evolution": "nas.controllers.evolution:Evolution",
        "regularized-evolution": "nas.controllers.regularized_evolution:RegularizedEvolution",
        "zoph-le": "nas.controllers.zoph_le:ZophLe",
        "reinforce-nas-bench-201": "nas.controllers.nas_bench_201_reinforce:ReinforceNasBench201",
        "local-search": "nas.controllers.local_search:LocalSearch",
        "grid": "nas.controllers.grid:Grid",
        "random": "nas.controllers.random_search:RandomSearch",
    },
    "evaluator": {
        "meta": "nas.evaluators.meta:MetaEvaluator",
        "tabular": "nas.evaluators.tabular:Tabular",
        "zero-cost": "nas.evaluators.zero_cost:ZeroCostEvaluator",
    },
    "tasks": {
        "glyphs": "nas.evaluators.tasks.glyphs:Glyphs",
        "omniglot": "nas.evaluators.tasks.omniglot:Omniglot",
        "sequences": "nas.evaluators.tasks.sequences:Sequences",
        "sinusoid": "nas.evaluators.tasks.sinusoid:Sinusoid",
        "system-identification": "nas.evaluators.tasks.system_identification:SystemIdentification",
    },
    "learner": {
        "maml": "nas.evaluators.learners.maml:Maml",
        "anil": "nas.evaluators.learners.anil:Anil",
        "reptile": "nas.evaluators.learners.reptile:Reptile",
        "meta-sgd": "nas.evaluators.learners.meta_sgd:MetaSgd",
        "protonet": "nas.evaluators.learners.protonet:ProtoNet",
        "ridge": "nas.evaluators.learners.ridge:Ridge",
        "finetune": "nas.evaluators.learners.no_meta_learning:FineTune",
        "scratch": "nas.evaluators.learners.no_meta_learning:Scratch",
        "maml-sinusoid": "nas.evaluators.learners.published:MamlSinusoid",
        "maml-omniglot-5way": "nas.evaluators.learners.published:MamlOmniglot5Way",
        "maml-omniglot-20way": "nas.evaluators.learners.published:MamlOmniglot20Way",
        "reptile-omniglot-5way": "nas.evaluators.learners.published:ReptileOmniglot5Way",
        "reptile-omniglot-5way-transductive": "nas.evaluators.learners.published:ReptileOmniglot5WayTransductive",
        "reptile-omniglot-20way": "nas.evaluators.learners.published:ReptileOmniglot20Way",
    },
}
PREFIXES: Mapping[Room, Mapping[str, str]] = {
    "space": {"nni": "nas.search_spaces.nni.space:hub", "table": "nas.search_spaces.table:of_file"},
    "controller": {"optuna": "nas.controllers.optuna:sampler"},
}
"""Names of the form PREFIX:REST: the function that makes a constructor of REST."""
FORMS: Mapping[Room, Mapping[str, str]] = {
    "space": {
        "nni:NAME": "One of NNI's hub, such as nni:DARTS.",
        "table:FILE": "The rows of a table, such as table:scores.csv.",
        "FILE.py:NAME": "A class of your own, such as my_space.py:TinyConvNet.",
    },
    "controller": {
        "optuna:NAME": "A sampler of Optuna, such as optuna:tpe.",
        "FILE.py:NAME": "A class of your own, such as annealing.py:Annealing.",
    },
}
"""Names that are no fixed ones, with examples, for a person."""
OWN: Mapping[Room, tuple[str, tuple[str, ...]]] = {
    "space": ("search space", ("decide", "build")),
    "controller": ("controller", ("ask", "tell")),
}
"""Of what a class of a person's own, FILE.py:NAME, may be: what to call it, and the methods that it must have."""
AS_SPACE = "nas.search_spaces.nni.space:as_space"
"""What makes a search space of a class that a person's file defines, where it is not one yet."""
ENTRY_POINT_GROUPS: Mapping[Room, str] = {
    "space": "nas.search_spaces",
    "controller": "nas.controllers",
    "evaluator": "nas.evaluators",
    "tasks": "nas.tasks",
    "learner": "nas.learners",
}


def names(room: Room) -> list[str]:
    """The names that `find` knows in a room, sorted."""
    return sorted({*BUILT_IN[room], *(point.name for point in _points(room))})


def find(room: Room, name: str) -> Callable[..., Any]:
    """The class of a name, or a function that makes instances; built-in names come before entry points.

    A space or a controller may be a person's own, FILE.py:NAME; such a space also a ModelSpace of NNI.

    Raises ConfigError for an unknown name, with the nearest known one, and for an entry point or a file that cannot be
    loaded.
    """
    if name in BUILT_IN[room]:
        return _built_in(BUILT_IN[room][name])
    prefix, colon, rest = name.partition(":")
    if colon and prefix in PREFIXES.get(room, {}):
        constructor: Callable[..., Any] = _built_in(PREFIXES[room][prefix])(rest)
        return constructor
    for point in _points(room):
        if point.name == name:
            return _load(point)
    if room in OWN and own.is_own(name):
        cls = own.find(name)
        found: Callable[..., Any] = _built_in(AS_SPACE)(cls) if room == "space" else cls
        if found is cls:
            own.check(cls, name, *OWN[room])
        return found
    others = "".join(f", {prefix}:NAME" for prefix in PREFIXES.get(room, {}))
    or_own = ", or a class of yours as FILE.py:NAME" if room in OWN else ""
    raise ConfigError(f"{room} {shown(name)} is not known: {nearest(name, names(room))}{others}{or_own}")


def is_controller(name: str) -> bool:
    """Whether a name is that of a controller: a known one, or a class of a person's own with `ask` or `tell`."""
    if own.is_own(name):
        cls = own.find(name)
        return any(hasattr(cls, method) for method in OWN["controller"][1])
    return attempt(find, "controller", name)[1] is None


def create(room: Room, name: str, options: Mapping[str, Any], *, beside: Iterable[str] = (), **given: Any) -> Any:
    """An instance of a named component from a config's `options`, with what the program itself gives (space, seed, …).

    Options are checked against the annotations of the class's constructor; nothing is coerced. Raises ConfigError,
    with the nearest option, for an unknown one, a wrong type, or a value that the constructor cannot take. `beside` are
    the keys that may stand beside the options, so that they are suggested too.
    """
    cls = find(room, name)
    known, error = attempt(options_of, cls)
    if error is not None:
        raise ConfigError(f"{room} {name!r} has a constructor whose options cannot be read: {reason(error)}")
    checked: dict[str, Any] = {}
    for option, value in options.items():
        if option not in known or option in given:
            rest = (set(known) - set(given)) | set(beside)
            raise ConfigError(f"{room} {name!r} has no option {shown(option)}; {nearest(option, rest)}")
        checked[option] = _typed(f"{room} {name!r} option {option!r}", known[option], value)
    # Attempted: torch has errors of its own for a size that no memory holds, and so may other people's components.
    made, error = attempt(cls, **given, **checked)
    if error is not None:
        raise error if isinstance(error, NasError) else ConfigError(_unmade(room, name, cls, given, error))
    if room == "space" and not isinstance(attempt(getattr, made, "name")[0], str):
        raise ConfigError(f"space {name!r} needs a `name`, a text that its architectures bear")
    return made


def options_of(cls: Callable[..., Any]) -> dict[str, Any]:
    """A component's options: the parameters of its constructor with their types."""
    # Of a dataclass, each annotation is read where it was written: a base's may name what the module of cls does not.
    whole = is_dataclass(cls) or not isinstance(cls, type)
    hints = get_type_hints(cls if whole else cls.__init__)
    parameters = list(inspect.signature(cls).parameters.values())
    return {p.name: hints.get(p.name, Any) for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _unmade(room: Room, name: str, cls: Any, given: Mapping[str, Any], error: BaseException) -> str:
    by = f"; it is called with {' and '.join(given)}" if given and isinstance(error, TypeError) else ""
    place = f" ({own.place(cls, '__init__', error)})" if isinstance(cls, type) and own.is_found(cls) else ""
    return f"{room} {name!r} cannot be made: {reason(error)}{by}{place}"


def _built_in(place: str) -> Callable[..., Any]:
    module, _, attribute = place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def _typed(what: str, annotation: Any, value: Any) -> Any:
    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
        # Through JSON, so that a list may stand for a tuple and a string for a path, as a config file writes them.
        typed = adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        reasons = "; ".join(dict.fromkeys(detail["msg"] for detail in error.errors()))
        raise ConfigError(f"{what} is {shown(value)}: {reasons}") from None
    # To pydantic, true and 1.0 are among the options of Literal[1, 2].
    if isinstance(typed, int) and type(typed) is not type(value):
        raise ConfigError(f"{what} is {shown(value)}: Input should be a valid integer")
    return typed


def _points(room: Room) -> list[EntryPoint]:
    return list(entry_points(group=ENTRY_POINT_GROUPS[room]))


def _load(point: EntryPoint) -> Callable[..., Any]:
    loaded, error = attempt(point.load)
    if error is not None:
        raise ConfigError(f"{point.group} {point.name!r} ({point.value}) cannot be loaded: {reason(error)}") from error
    found: Callable[..., Any] = loaded
    return found
