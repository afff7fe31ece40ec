"""Calls of a network for all tasks at once, each task with weights of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ...networks.attention import twice_differentiable
from .convolution import Convolution, Geometry
from .standardise import Affine, Dims, Standardise

Parameters = Mapping[str, Tensor]


def call(network: nn.Module, parameters: Parameters, x: Tensor) -> Tensor:
    """`network(x)` with `parameters` in place of its own: (examples, *input_shape) -> (examples, outputs)."""
    output: Tensor = functional_call(network, dict(parameters), (x,))
    return output


def call_tasks(network: nn.Module, parameters: Parameters, x: Tensor, shared: Parameters) -> Tensor:
    """`network(x[t])` with `parameters[t]` for each task t.

    The result can be differentiated twice by `torch.autograd`.

    Args:
        network: The network.
        parameters: Values by name, (tasks, *shape). A tensor that is expanded, and so the same for all tasks, is used
            once for all of them.
        x: Inputs (tasks, examples, *input_shape).
        shared: Values of other parameters and buffers, the same for all tasks.

    Returns:
        Outputs (tasks, examples, outputs).
    """
    with _FastReplacements(), twice_differentiable():
        output: Tensor = vmap(lambda p, x: call(network, {**p, **shared}, x))(dict(parameters), x)
    return output


class _FastReplacements(TorchFunctionMode):
    """Mode in which the functions of `_REPLACEMENTS` stand in for torch's own, under `vmap`."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        replacement = _REPLACEMENTS.get(func)
        result = None if replacement is None else replacement(*args, **kwargs)
        return func(*args, **kwargs) if result is None else result


def _conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, *sizes: Any, **named_sizes: Any) -> Tensor | None:
    geometry = Geometry(*sizes, **named_sizes)
    if x.dim() != 4 or not all(isinstance(size, tuple) for size in geometry[:3]):
        return None
    y: Tensor = _Convolution.apply(x, weight, geometry)
    return y if bias is None else y + bias[:, None, None]


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    if x.dim() != 2:
        return None
    y = torch.mm(x, weight.t())
    return y if bias is None else y + bias


def _batch_norm(x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, **options: Any) -> Tensor | None:
    """torch's own `batch_norm` hands all further arguments to a mode by name; only these three matter here."""
    if running_mean is not None:
        return None
    z = _Standardise.apply(x, (0, *range(2, x.dim())), options.get("eps", 1e-5))
    return _affine(z, options.get("weight"), options.get("bias"))


def _group_norm(
    x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    grouped = x.unflatten(1, (groups, -1))
    z = _Standardise.apply(grouped, tuple(range(2, grouped.dim())), eps)
    return _affine(z.flatten(1, 2), weight, bias)


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    z: Tensor = _Standardise.apply(x, tuple(range(-len(shape), 0)), eps)
    z = z if weight is None else z * weight
    return z if bias is None else z + bias


def _adaptive_avg_pool2d(x: Tensor, size: Any) -> Tensor | None:
    return x.mean((-2, -1), keepdim=True) if size in (1, (1, 1)) else None


def _affine(z: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None and bias is not None:
        both: Tensor = _Affine.apply(z, weight, bias)
        return both
    shape = (-1, *[1] * (z.dim() - 2))
    z = z if weight is None else z * weight.reshape(shape)
    return z if bias is None else z + bias.reshape(shape)


_REPLACEMENTS: Mapping[Callable[..., Any], Callable[..., Tensor | None]] = {
    torch.conv2d: _conv2d,
    functional.linear: _linear,
    functional.batch_norm: _batch_norm,
    functional.group_norm: _group_norm,
    functional.layer_norm: _layer_norm,
    functional.adaptive_avg_pool2d: _adaptive_avg_pool2d,
}
"""Replacements of functions of torch that are slow under vmap. Where one returns None, torch's own is called."""


class _Convolution(torch.autograd.Function):
    """Convolution of one task, which vmap turns into the `Convolution` of all tasks."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        return torch.conv2d(x, weight, None, *geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Saves nothing: gradients are taken outside vmap, where `Convolution` stands in place of this function."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, weight: Tensor, geometry: Geometry) -> tuple[Tensor, int]:
        x, weight = (_tasks_first(info, dim, tensor) for dim, tensor in zip(in_dims, (x, weight), strict=False))
        return Convolution.apply(x, weight, geometry), 0


class _Standardise(torch.autograd.Function):
    """Standardisation of one task, which vmap turns into the `Standardise` of all tasks."""

    @staticmethod
    def forward(x: Tensor, dims: Dims, eps: float) -> Tensor:
        return Standardise.apply(x, dims, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Saves nothing, as in `_Convolution`."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, dims: Dims, eps: float) -> tuple[Tensor, int]:
        x = _tasks_first(info, in_dims[0], x)
        return Standardise.apply(x, tuple(dim % (x.dim() - 1) + 1 for dim in dims), eps), 0


class _Affine(torch.autograd.Function):
    """z (examples, channels, …) times weight plus bias, both (channels,), in one pass over memory.

    It sees one task, and vmap turns it into the `Affine` of all tasks.
    """

    @staticmethod
    def forward(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        shape = (-1, *[1] * (z.dim() - 2))
        return torch.addcmul(bias.reshape(shape), z, weight.reshape(shape))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Saves nothing, as in `_Convolution`."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, z: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, int]:
        z, weight, bias = (
            _tasks_first(info, dim, tensor) for dim, tensor in zip(in_dims, (z, weight, bias), strict=True)
        )
        shape = (len(z), 1, -1, *[1] * (z.dim() - 3))
        return Affine.apply(z, weight.reshape(shape), bias.reshape(shape)), 0


def _tasks_first(info: Any, dim: int | None, tensor: Tensor) -> Tensor:
    return tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
