"""Source of a layer: the call that constructs a `torch.nn` module again."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from ..errors import NasError
from .expressions import literal

REQUIRED = inspect.Parameter.empty
RECURRENT = {
    "input_size": REQUIRED,
    "hidden_size": REQUIRED,
    "num_layers": 1,
    "nonlinearity": "tanh",
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
    "proj_size": 0,
}
"""Parameters and defaults of recurrent layers, whose signature has only *args."""


def constructor(module: nn.Module, path: str) -> tuple[str, list[str]]:
    """The call that constructs a module like this one.

    It is tried (on the meta device: no memory, no random numbers) and its result compared with the module.

    Args:
        module: The layer.
        path: Its path in the network, for error messages.

    Returns:
        The class, such as 'nn.Conv2d', and the source of its arguments without those at their default.

    Raises:
        NasError: The layer is not of `torch.nn`, has hooks, or cannot be constructed from its attributes.
    """
    kind = type(module)
    name = kind.__name__
    if getattr(nn, name, None) is not kind:
        raise NasError(
            f"layer {path!r} is a {kind.__module__}.{name}, which the exported source cannot make; "
            f"build it from the layers of torch.nn"
        )
    if module._forward_hooks or module._forward_pre_hooks:
        raise NasError(f"layer {path!r} ({name}) has forward hooks, which source cannot hold; remove them to export")
    required, optional = constructor_arguments(module, path)
    try:
        with torch.device("meta"):
            again = kind(*required, **optional)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _changed(path, name) from error
    if not _alike(module, again):
        raise _changed(path, name)
    texts = [literal(value) for value in required]
    return f"nn.{name}", texts + [f"{key}={literal(value)}" for key, value in optional.items()]


def _changed(path: str, name: str) -> NasError:
    return NasError(
        f"layer {path!r} (nn.{name}) cannot be made again from its attributes; "
        f"build it with nn.{name}'s own arguments and do not change it afterwards, or use another layer"
    )


def constructor_arguments(module: nn.Module, path: str) -> tuple[list[Any], dict[str, Any]]:
    """The required and the optional arguments with which a layer is constructed again, without those at their default.

    Raises:
        NasError: The layer's attributes do not tell them.
    """
    required: list[Any] = []
    optional: dict[str, Any] = {}
    for name, default in _defaults(module):
        value = _value(module, name, default)
        if value is REQUIRED:
            raise _changed(path, type(module).__name__)
        if default is REQUIRED:
            required.append(value)
        elif value != default or type(value) is bool is not type(default):
            optional[name] = value
    dtypes = {tensor.dtype for tensor in module.parameters(recurse=False)} - {torch.float32}
    if dtypes:
        optional["dtype"] = dtypes.pop()
    return required, optional


def _defaults(module: nn.Module) -> Iterator[tuple[str, Any]]:
    if isinstance(module, nn.RNNBase):
        yield from RECURRENT.items()
        return
    for name, parameter in inspect.signature(type(module)).parameters.items():
        varying = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if not varying and not name.startswith("_") and name not in ("device", "dtype"):
            yield name, parameter.default


def _value(module: nn.Module, name: str, default: Any) -> Any:
    """The argument that the module was constructed with, by its attributes; the default where they do not tell."""
    value = getattr(module, name, default)
    if name == "bias" and not isinstance(value, bool):
        # A norm without any scale has no bias either; older torch has no such argument there.
        affine = getattr(module, "affine", getattr(module, "elementwise_affine", True))
        return value is not None if affine else default
    if name == "stride" and value == getattr(module, "kernel_size", None) and default is None:
        return None
    if isinstance(module, _ConvNd) and isinstance(value, tuple) and len(set(value)) == 1:
        return value[0]
    return tuple(value) if isinstance(value, torch.Size | list) else value


def _alike(module: nn.Module, again: nn.Module) -> bool:
    """Whether a module has the public attributes of another, and the same tensors except for their values."""
    values, values_again = vars(module), vars(again)
    public = [name for name in values_again if not name.startswith("_") and name != "training"]
    if any(name not in values or values[name] != values_again[name] for name in public):
        return False
    return _tensors(module) == _tensors(again) and list(module.children()) == list(again.children()) == []


def _tensors(module: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in module.state_dict().items()}
