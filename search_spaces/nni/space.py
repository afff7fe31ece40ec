"""Spaces written for NNI: any `nni.nas` ModelSpace, of NNI's hub or of a user's file, searched unchanged."""

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
"""Spaces of the hub, with default options for small few-shot images; NNI's own are for ImageNet and CIFAR."""
AUXILIARY_LOSS = "auxiliary_loss"
"""Option of the hub that is not offered, because the network must have one output."""
INSTALL = "pip install 'adaptnas[nni]' installs versions that fit"
TOO_NEW = {"filelock": (3, 12), "setuptools": (82,)}
"""First versions of packages that break NNI 3.0; with filelock, for example, it waits for its own lock for ever."""
SAMPLE_FILE = "nni_sample.json"


@dataclass(frozen=True)
class NniSpace:
    """Architectures of an NNI ModelSpace. Each label is a choice, made only where it has an effect.

    A label inside a candidate of a LayerChoice is chosen only if the candidate is, one inside a block of a Repeat only
    if the depth reaches the block; modules that share a label share the choice. Choices are uniform: NNI's `weights`
    are not used. Samples that a constraint of NNI does not allow are rejected.

    Attributes:
        model: The class, which is used unchanged, or the name of one in NNI's hub, or FILE.py:NAME.
        options: Arguments of its constructor. num_labels, num_classes, in_channels and img_size are taken from the
            task, unless they are among the options.
    """

    model: type[Any] | str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        if isinstance(self.model, str) and not user_files.is_user_class_name(self.model):
            return f"nni:{self.model}"
        return self._class.__name__

    def decide(self, choose: Choose) -> dict[str, Any]:
        """The values of the labels that have an effect."""
        from .choices import run_steps

        sample: dict[str, Any] = {}
        run_steps(self._choices[0], choose, sample)
        return sample

    def build(self, spec: Mapping[str, Any], task: TaskShape) -> nn.Module:
        """The network that NNI makes of the sample, adapted to the task (`network.network_of`).

        Raises:
            SpaceError: The task's images have several channels, and the network takes another number.
        """
        from .network import network_of

        sizes = {"num_labels": task.num_outputs, "num_classes": task.num_outputs}
        if len(task.input_shape) == 3:
            sizes |= {"in_channels": task.input_shape[0], "img_size": task.input_shape[1]}
        of_task = {option: size for option, size in sizes.items() if option in _parameters(self._class)}
        return network_of(self._class, {**of_task, **self.options}, self.sample(spec), task)

    def sample(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """A value for every label, as NNI's `model_context` and `freeze` take it; any value for unused labels."""
        return {**self._choices[1], **spec}

    def files(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """Further files of an export, by name: the sample as JSON, unless JSON cannot hold one of its values."""
        sample = self.sample(spec)
        try:
            text = json.dumps(sample, indent=2)
        except (TypeError, ValueError):
            return {}
        return {SAMPLE_FILE: text + "\n"} if json.loads(text) == sample else {}

    @property
    def _class(self) -> type[Any]:
        if not isinstance(self.model, str):
            return self.model
        return user_files.find(self.model) if user_files.is_user_class_name(self.model) else _hub_class(self.model)

    @cached_property
    def _choices(self) -> tuple[Any, dict[str, Any]]:
        """The steps that decide a sample, and a value of each label."""
        model = self._class
        nni_hub()
        from .choices import first_values, steps_of

        made = attempt(lambda: model(**self.options))
        if made.error is not None:
            raise SpaceError(
                f"space {self.name!r} cannot be made with {dict(self.options)}: {reason(made.error)}"
            ) from made.error
        return steps_of(made.value), first_values(made.value)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process reads the choices again, because some of NNI's expressions cannot be pickled.
        return _unpickled, (self.model, dict(self.options))


def _unpickled(model: type[Any] | str, options: dict[str, Any]) -> NniSpace:
    """A space that has read its choices, so that importing NNI does not count as time of the first `decide`."""
    space = NniSpace(model, options)
    attempt(lambda: space._choices)  # `decide` raises the error again, where it is handled
    return space


def hub(name: str) -> Callable[..., NniSpace]:
    """The constructor of a space of NNI's hub, with NNI's options.

    Raises:
        ConfigError: The hub has no such space, or NNI is not installed or cannot be imported.
    """
    if name not in HUB:
        raise ConfigError(f"space {f'nni:{name}'!r} is not known: {nearest(name, HUB)}")
    cls = _hub_class(name)
    parameters = {option: p for option, p in _parameters(cls).items() if option != AUXILIARY_LOSS}
    return _constructor(name, cls, parameters, HUB[name])


def as_space(candidate: Any) -> Any:
    """The search space that a user's object stands for.

    Args:
        candidate: Any object.

    Returns:
        A NniSpace for a ModelSpace, the constructor of one for a class of these, with its options; any other object
        unchanged.
    """
    nni_pytorch = sys.modules.get("nni.nas.nn.pytorch")
    if nni_pytorch is None:  # not imported: then the object cannot be a ModelSpace
        return candidate
    if isinstance(candidate, nni_pytorch.ModelSpace):
        signature = inspect.signature(_constructor_of(type(candidate)))
        bound = signature.bind(candidate, *candidate.trace_args, **candidate.trace_kwargs)
        return NniSpace(type(candidate), dict(list(bound.arguments.items())[1:]))
    if isinstance(candidate, type) and issubclass(candidate, nni_pytorch.ModelSpace):
        # Another process finds a class of a user's file by its name alone.
        model = user_files.name_of(candidate) if user_files.is_user_class(candidate) else candidate
        return _constructor(model, candidate, _parameters(candidate), {})
    return candidate


def _constructor(
    model: type[Any] | str,
    cls: type[Any],
    parameters: Mapping[str, inspect.Parameter],
    defaults: Mapping[str, Any],
) -> Callable[..., NniSpace]:
    """A function that makes a space of `model`, with these parameters of `cls` as its signature."""

    def make(**options: Any) -> NniSpace:
        return NniSpace(model, {**defaults, **options})

    hints = attempt(get_type_hints, _constructor_of(cls)).value  # None if they name something that is not imported
    make.__doc__ = cls.__doc__
    make.__annotations__ = {name: hint for name, hint in (hints or {}).items() if name in parameters}
    make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # inspect reads it
        [p.replace(kind=p.KEYWORD_ONLY, default=defaults.get(name, p.default)) for name, p in parameters.items()]
    )
    return make


def _parameters(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """Parameters of the constructor that can be passed by name, without self."""
    parameters = list(inspect.signature(_constructor_of(cls)).parameters.items())[1:]
    return {name: p for name, p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _constructor_of(cls: type[Any]) -> Callable[..., Any]:
    """The constructor as it was written; NNI replaces it by one that takes any arguments."""
    written: Callable[..., Any] = getattr(cls, "_init_wrapped", None) or cls.__init__
    return written


def _hub_class(name: str) -> type[Any]:
    cls: type[Any] = getattr(nni_hub(), name)
    return cls


def nni_hub() -> Any:
    """The module of NNI's hub.

    Raises:
        ConfigError: NNI is not installed, cannot be imported, or another package is too new for it.
    """
    versions = {package: _version(package) for package in TOO_NEW}
    too_new = [f"{package} {v}" for package, v in versions.items() if _numbers(v) >= TOO_NEW[package]]
    if too_new:
        raise ConfigError(f"NNI 3.0 does not work with {' and '.join(too_new)}; {INSTALL}")
    hub = attempt(_import_hub)
    if hub.error is not None:
        raise ConfigError(f"NNI cannot be imported ({reason(hub.error)}); {INSTALL}") from hub.error
    return hub.value


def _import_hub() -> Any:
    """Import NNI's hub without its warnings about newer classes of torch and its log on standard output."""
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
