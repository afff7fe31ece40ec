"""Spaces written for NNI: any `nni.nas` ModelSpace, the user's own or one of NNI's hub, searched as it stands."""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, get_type_hints

from nas.errors import ConfigError, SpaceError, nearest
from nas.failures import attempt, reason
from nas.registry import user_files
from nas.space import Choose
from nas.task import TaskShape

if TYPE_CHECKING:
    from torch import nn

CELLS = {"width": (8, 16), "num_cells": (3, 4)}
HUB: Mapping[str, Mapping[str, Any]] = {
    "AmoebaNet": CELLS,
    "AutoFormer": {
        "search_embed_dim": (32, 48, 64),
        "search_mlp_ratio": (1.0, 2.0, 3.0),
        "search_num_heads": (1, 2),
        "search_depth": (1, 2, 3),
        "patch_size": 7,
        "drop_path_rate": 0.0,
    },
    "DARTS": CELLS,
    "ENAS": CELLS,
    "MobileNetV3Space": {
        "base_widths": (16, 16, 16, 24, 32, 48, 64, 64, 128),
        "width_multipliers": (0.5, 1.0),
        "expand_ratios": (1.0, 2.0, 3.0),
        "stride": (2, 1, 2, 1, 2, 1, 1, 1, 1),
        "depth_range": (1, 2),
    },
    "NASNet": CELLS,
    "NasBench101": {"stem_out_channels": 16, "num_modules_per_stack": 1},
    "NasBench201": {"stem_out_channels": 8, "num_modules_per_stack": 1},
    "PNAS": CELLS,
    "ProxylessNAS": {"base_widths": (16, 8, 16, 16, 24, 24, 32, 48, 128)},
    "ShuffleNetSpace": {},
}
"""The hub's spaces, with options in place of their own defaults, which are for ImageNet or CIFAR: meta-training takes
many steps, and few-shot images are small."""
ONE_OUTPUT = "auxiliary_loss"
"""The option of the hub that is not taken: the network must give one output."""
INSTALL = "pip install 'adaptnas[nni]' installs what fits"
TOO_NEW = {"filelock": (3, 12), "setuptools": (82,)}
"""Versions from which on a package that NNI 3.0 needs breaks it: it waits for its own lock for ever, for example."""
SAMPLE_FILE = "nni_sample.json"


@dataclass(frozen=True)
class NniSpace:
    """The architectures of an NNI ModelSpace. A choice is a label of NNI, asked for only where it has an effect.

    A label inside a LayerChoice's candidate or a Repeat's block is asked for where that candidate is chosen or the
    depth reaches that block; modules that share a label share the choice. Choices are uniform: NNI's `weights` are not
    used. What a constraint of NNI does not allow is rejected.

    model    the class, which is used unchanged, or a name: of one in NNI's hub, or FILE.py:NAME
    options  arguments of its constructor. Those called num_labels, num_classes, in_channels and img_size are the
             task's, where they are not given
    """

    model: type[Any] | str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        if isinstance(self.model, str) and not user_files.is_user_class_name(self.model):
            return f"nni:{self.model}"
        return self._class.__name__

    def decide(self, choose: Choose) -> dict[str, Any]:
        from .choices import settle

        sample: dict[str, Any] = {}
        settle(self._choices[0], choose, sample)
        return sample

    def build(self, spec: Mapping[str, Any], task: TaskShape) -> nn.Module:
        """The network that NNI makes of the sample, fit for the task (`nni_networks`)."""
        from .network import network_of

        sizes = {"num_labels": task.num_outputs, "num_classes": task.num_outputs}
        if len(task.input_shape) == 3:
            sizes |= {"in_channels": task.input_shape[0], "img_size": task.input_shape[1]}
        of_task = {option: size for option, size in sizes.items() if option in _parameters(self._class)}
        return network_of(self._class, {**of_task, **self.options}, self.sample(spec), task)

    def sample(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """A value for every label, as NNI's `model_context` and `freeze` take it: those of the spec, and any for what
        is not used."""
        return {**self._choices[1], **spec}

    def files(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """What an export holds besides, by file name: the sample as JSON, unless it has values that JSON has not."""
        sample = self.sample(spec)
        text, error = attempt(json.dumps, sample, indent=2)
        return {SAMPLE_FILE: text + "\n"} if error is None and json.loads(text) == sample else {}

    @property
    def _class(self) -> type[Any]:
        if not isinstance(self.model, str):
            return self.model
        return user_files.find(self.model) if user_files.is_user_class_name(self.model) else _hub_class(self.model)

    @cached_property
    def _choices(self) -> tuple[Any, dict[str, Any]]:
        """The steps that settle a sample, and a value for each label."""
        model = self._class
        nni_hub()
        from .choices import first_values, steps_of

        made, error = attempt(lambda: model(**self.options))
        if error is not None:
            raise SpaceError(
                f"space {self.name!r} cannot be made with {dict(self.options)}: {reason(error)}"
            ) from error
        return steps_of(made), first_values(made)

    def __reduce__(self) -> tuple[Any, ...]:
        # The choices are read anew in another process: some of NNI's expressions cannot be pickled.
        return _unpickled, (self.model, dict(self.options))


def _unpickled(model: type[Any] | str, options: dict[str, Any]) -> NniSpace:
    """A space that has read its choices: importing NNI takes seconds, which are not those of its first `decide`."""
    space = NniSpace(model, options)
    attempt(lambda: space._choices)  # what this raises, `decide` raises again, where it is looked after
    return space


def hub(name: str) -> Callable[..., NniSpace]:
    """A constructor, with the options of NNI's own, of the space `name` of its hub.

    Raises ConfigError for another name, with the nearest, and where NNI is not there or cannot work.
    """
    if name not in HUB:
        raise ConfigError(f"space {f'nni:{name}'!r} is not known: {nearest(name, HUB)}")
    cls = _hub_class(name)
    parameters = {option: p for option, p in _parameters(cls).items() if option != ONE_OUTPUT}
    return _constructor(name, cls, parameters, HUB[name])


def as_space(found: Any) -> Any:
    """What stands for `found` as a search space: for a ModelSpace a NniSpace of it, for a class of those a constructor
    of such, with its options; anything else is itself."""
    nn_of_nni = sys.modules.get("nni.nas.nn.pytorch")
    if nn_of_nni is None:  # then `found` is none of its classes
        return found
    if isinstance(found, nn_of_nni.ModelSpace):
        given = inspect.signature(_constructor_of(type(found))).bind(found, *found.trace_args, **found.trace_kwargs)
        return NniSpace(type(found), dict(list(given.arguments.items())[1:]))
    if isinstance(found, type) and issubclass(found, nn_of_nni.ModelSpace):
        # A class of a person's file is found again in another process by its name alone.
        return _constructor(
            user_files.name_of(found) if user_files.is_user_class(found) else found, found, _parameters(found), {}
        )
    return found


def _constructor(
    model: type[Any] | str,
    cls: type[Any],
    parameters: Mapping[str, inspect.Parameter],
    defaults: Mapping[str, Any],
) -> Callable[..., NniSpace]:
    """A function that makes a space of `model`, with these of the parameters of cls, whose types are checked."""

    def make(**options: Any) -> NniSpace:
        return NniSpace(model, {**defaults, **options})

    hints, _ = attempt(get_type_hints, _constructor_of(cls))  # None where they name what is not there
    make.__doc__ = cls.__doc__
    make.__annotations__ = {name: hint for name, hint in (hints or {}).items() if name in parameters}
    make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # inspect looks for it
        [p.replace(kind=p.KEYWORD_ONLY, default=defaults.get(name, p.default)) for name, p in parameters.items()]
    )
    return make


def _parameters(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """Those of the constructor that can be given by name, without self."""
    parameters = list(inspect.signature(_constructor_of(cls)).parameters.items())[1:]
    return {name: p for name, p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _constructor_of(cls: type[Any]) -> Callable[..., Any]:
    """The constructor as it was written: NNI puts one that takes anything in its place."""
    written: Callable[..., Any] = getattr(cls, "_init_wrapped", None) or cls.__init__
    return written


def _hub_class(name: str) -> type[Any]:
    found: type[Any] = getattr(nni_hub(), name)
    return found


def nni_hub() -> Any:
    """The module of NNI's hub. Raises ConfigError where NNI is not there or cannot work."""
    too_new = [f"{name} {found}" for name, least in TOO_NEW.items() if _numbers(found := _version(name)) >= least]
    if too_new:
        raise ConfigError(f"NNI 3.0 does not work with {' and '.join(too_new)}; {INSTALL}")
    hub, error = attempt(_imported)
    if error is not None:
        raise ConfigError(f"NNI cannot be imported ({reason(error)}); {INSTALL}") from error
    return hub


def _imported() -> Any:
    """The one place of the import: NNI warns of torch's newer classes, and logs to standard output."""
    with warnings.catch_warnings(action="ignore"):
        import nni
        import nni.nas.hub.pytorch

    nni.silence_stdout()
    return nni.nas.hub.pytorch


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
