"""A network with each task's own weights, for all tasks at once."""

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


def call_tasks(network: nn.Module, parameters: Parameters, x: Tensor, told: Parameters) -> Tensor:
    """For each task t, `network(x[t])` with parameters[t].

    x           (tasks, examples, *input_shape); the result is (tasks, examples, outputs)
    parameters  by name (tasks, *shape); those that are expanded, and so the same for all tasks, are used together
    told        what takes the place of other parameters and buffers, the same for all tasks

    It can be differentiated twice, by `torch.autograd` outside.
    """
    with _Faster(), twice_differentiable():
        output: Tensor = vmap(lambda p, x: call(network, {**p, **told}, x))(dict(parameters), x)
    return output


class _Faster(TorchFunctionMode):
    """Under `vmap`, has convolutions and normalisations done by our own functions."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        ours = _OURS.get(func)
        result = None if ours is None else ours(*args, **kwargs)
        return func(*args, **kwargs) if result is None else result


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    groups: int = 1,
) -> Tensor | None:
    sizes = (stride, padding, dilation)
    if x.dim() != 4 or not all(isinstance(size, tuple) for size in sizes):
        return None
    y: Tensor = _Convolution.apply(x, weight, Geometry(*sizes, groups))
    return y if bias is None else y + bias[:, None, None]


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    if x.dim() != 2:
        return None
    y = torch.mm(x, weight.t())
    return y if bias is None else y + bias


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    if running_mean is not None:
        return None
    return _affine(_Standardise.apply(x, (0, *range(2, x.dim())), eps), weight, bias)


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


_OURS: Mapping[Callable[..., Any], Callable[..., Tensor | None]] = {
    torch.conv2d: _conv2d,
    functional.linear: _linear,
    functional.batch_norm: _batch_norm,
    functional.group_norm: _group_norm,
    functional.layer_norm: _layer_norm,
    functional.adaptive_avg_pool2d: _adaptive_avg_pool2d,
}
"""What stands in for a function of torch that is slow under vmap; where it returns None, torch's own does the work."""


class _Convolution(torch.autograd.Function):
    """A convolution that sees one task, and turns into one of all tasks under vmap."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        return torch.conv2d(x, weight, None, *geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing: gradients are taken outside vmap, where `Convolution` is in this one's place."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, weight: Tensor, geometry: Geometry) -> tuple[Tensor, int]:
        x, weight = (_tasks_first(info, dim, tensor) for dim, tensor in zip(in_dims, (x, weight), strict=False))
        return Convolution.apply(x, weight, geometry), 0


class _Standardise(torch.autograd.Function):
    """Likewise."""

    @staticmethod
    def forward(x: Tensor, dims: Dims, eps: float) -> Tensor:
        return Standardise.apply(x, dims, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing, as above."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, dims: Dims, eps: float) -> tuple[Tensor, int]:
        x = _tasks_first(info, in_dims[0], x)
        return Standardise.apply(x, tuple(dim % (x.dim() - 1) + 1 for dim in dims), eps), 0


class _Affine(torch.autograd.Function):
    """Likewise: z (examples, channels, …) times weight plus bias (channels,), in one pass."""

    @staticmethod
    def forward(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        shape = (-1, *[1] * (z.dim() - 2))
        return torch.addcmul(bias.reshape(shape), z, weight.reshape(shape))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing, as above."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, z: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, int]:
        z, weight, bias = (
            _tasks_first(info, dim, tensor) for dim, tensor in zip(in_dims, (z, weight, bias), strict=True)
        )
        shape = (len(z), 1, -1, *[1] * (z.dim() - 3))
        return Affine.apply(z, weight.reshape(shape), bias.reshape(shape)), 0


def _tasks_first(info: Any, dim: int | None, tensor: Tensor) -> Tensor:
    return tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
