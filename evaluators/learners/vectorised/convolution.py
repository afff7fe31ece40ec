"""Convolution of many tasks at once, each with weights of its own, and its derivatives of any order.

A convolution is linear in its images and in its weights, and so are its two derivatives; the derivatives of each of the
three are the other two. Each is computed in the way that is fastest for a device and a shape. torch's own second
derivatives of grouped convolutions go through the groups one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

FEW_ROWS = 32
"""Output pixels of a task up to which a CPU is faster with a matrix product of patches than a grouped convolution."""


class Geometry(NamedTuple):
    """Arguments of `torch.nn.functional.conv2d` beside the tensors, with its defaults."""

    stride: Sequence[int] = (1, 1)
    padding: Sequence[int] = (0, 0)
    dilation: Sequence[int] = (1, 1)
    groups: int = 1


def shared(weight: Tensor) -> bool:
    """Whether all tasks have the same weights, as before the first inner step; then one convolution is enough."""
    return weight.shape[0] == 1 or weight.stride(0) == 0


def uses_patches(x: Tensor, pixels: int, geometry: Geometry) -> bool:
    """Whether to multiply matrices of image patches; else the tasks become the groups of one convolution."""
    if geometry.groups > 1:
        return False
    return x.device.type != "cpu" or x.shape[1] * pixels <= FEW_ROWS


def convolve(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Convolution of each task's images with its weights.

    Args:
        x: Images (tasks, images, in, height, width).
        weight: Weights (tasks, out, in / groups, kernel height, kernel width).
        geometry: Stride, padding, dilation and groups.

    Returns:
        Images (tasks, images, out, output height, output width).
    """
    tasks, (stride, padding, dilation, groups) = x.shape[0], geometry
    if shared(weight):
        y = torch.conv2d(_merged(x), weight[0], None, stride, padding, dilation, groups)
        return y.unflatten(0, (-1, tasks)).transpose(0, 1)
    height, width = out_size(x.shape, weight.shape, geometry)
    if uses_patches(x, height * width, geometry):
        y = patches(x, weight.shape, geometry) @ weight_matrix(weight)
        return y.reshape(tasks, x.shape[1], height, width, -1).movedim(-1, 2)
    y = torch.conv2d(_grouped(x), weight.flatten(0, 1), None, stride, padding, dilation, groups * tasks)
    return _ungrouped(y, tasks)


def convolve_input(gradient: Tensor, weight: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
    """Derivative with respect to x, of `shape`, of the sum of `gradient` times the convolution."""
    tasks = shape[0]
    if shared(weight):
        x = gradient.new_empty(()).expand(tasks * shape[1], *shape[2:])
        return _backward(_merged(gradient), x, weight[0], geometry, 0).unflatten(0, (-1, tasks)).transpose(0, 1)
    if uses_patches(gradient, gradient.shape[-2] * gradient.shape[-1], geometry):
        rows = gradient.movedim(2, -1).reshape(tasks, -1, weight.shape[1])
        return unpatched(rows @ weight_matrix(weight).mT, shape, weight.shape, geometry)
    x = gradient.new_empty(()).expand(shape[1], tasks * shape[2], *shape[3:])
    geometry = geometry._replace(groups=geometry.groups * tasks)
    return _ungrouped(_backward(_grouped(gradient), x, weight.flatten(0, 1), geometry, 0), tasks)


def convolve_weight(gradient: Tensor, x: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
    """Derivative with respect to the weights, of `shape`, of the sum of `gradient` times the convolution."""
    tasks, outputs = shape[:2]
    if uses_patches(x, gradient.shape[-2] * gradient.shape[-1], geometry):
        rows = gradient.movedim(2, -1).reshape(tasks, -1, outputs)
        columns = rows.mT @ patches(x, shape, geometry)
        return columns.reshape(tasks, outputs, *shape[3:], shape[2]).movedim(-1, 2)
    weight = gradient.new_empty(()).expand(tasks * outputs, *shape[2:])
    geometry = geometry._replace(groups=geometry.groups * tasks)
    return _backward(_grouped(gradient), _grouped(x), weight, geometry, 1).unflatten(0, (tasks, -1))


def out_size(x: Sequence[int], weight: Sequence[int], geometry: Geometry) -> tuple[int, int]:
    """Height and width of a convolution's output."""
    height, width = (
        (x[3 + i] + 2 * geometry.padding[i] - geometry.dilation[i] * (weight[3 + i] - 1) - 1) // geometry.stride[i] + 1
        for i in (0, 1)
    )
    return height, width


def patches(x: Tensor, weight: Sequence[int], geometry: Geometry) -> Tensor:
    """Input pixels under the kernel at each output pixel: (tasks, images * height * width, kh * kw * in)."""
    (down, right), padding, (apart_y, apart_x), _ = geometry
    height, width = out_size(x.shape, weight, geometry)
    padded = torch.nn.functional.pad(x.movedim(2, -1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    tasks, images, _, _, channels = padded.shape
    task, image, row, column, channel = padded.stride()
    windows = padded.as_strided(
        (tasks, images, height, width, weight[3], weight[4], channels),
        (task, image, row * down, column * right, row * apart_y, column * apart_x, channel),
        padded.storage_offset(),
    )
    return windows.reshape(tasks, images * height * width, -1)


def unpatched(columns: Tensor, shape: torch.Size, weight: Sequence[int], geometry: Geometry) -> Tensor:
    """The transpose of `patches`: images of `shape`, each pixel the sum of its occurrences in the patches."""
    tasks, images, channels, *size = shape
    height, width = out_size(shape, weight, geometry)
    (down, right), padding, (apart_y, apart_x), _ = geometry
    parts = columns.view(tasks, images, height, width, weight[3], weight[4], channels)
    padded = columns.new_zeros(tasks, images, size[0] + 2 * padding[0], size[1] + 2 * padding[1], channels)
    for y in range(weight[3]):
        rows = slice(y * apart_y, y * apart_y + (height - 1) * down + 1, down)
        for x in range(weight[4]):
            places = slice(x * apart_x, x * apart_x + (width - 1) * right + 1, right)
            padded[:, :, rows, places] += parts[:, :, :, :, y, x]
    return padded[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]].movedim(-1, 2)


def weight_matrix(weight: Tensor) -> Tensor:
    """Weights as matrices (tasks, kh * kw * in, out)."""
    return weight.movedim(2, -1).flatten(2).mT


def _merged(x: Tensor) -> Tensor:
    """(tasks, images, …) -> (images * tasks, …), without a copy where the memory layout allows it."""
    return x.transpose(0, 1).flatten(0, 1)


def _grouped(x: Tensor) -> Tensor:
    """(tasks, images, channels, …) -> (images, tasks * channels, …), without a copy where the layout allows it."""
    return x.transpose(0, 1).flatten(1, 2)


def _ungrouped(y: Tensor, tasks: int) -> Tensor:
    """The inverse of `_grouped`."""
    return y.unflatten(1, (tasks, -1)).transpose(0, 1)


def _backward(gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, by: int) -> Tensor:
    """torch's derivative of a convolution with respect to x (0) or weight (1), of which only the shape is used."""
    stride, padding, dilation, groups = geometry
    wanted = [by == 0, by == 1, False]
    derivatives: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, dilation, False, [0, 0], groups, wanted
    )
    return derivatives[by]


class Convolution(torch.autograd.Function):
    """Differentiable `convolve`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return convolve(x, weight, geometry)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        return (
            ConvolutionInput.apply(gradient, weight, x.shape, ctx.geometry) if ctx.needs_input_grad[0] else None,
            ConvolutionWeight.apply(gradient, x, weight.shape, ctx.geometry) if ctx.needs_input_grad[1] else None,
            None,
        )


class ConvolutionInput(torch.autograd.Function):
    """Differentiable `convolve_input`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.geometry = geometry
        return convolve_input(gradient, weight, shape, geometry)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        return (
            Convolution.apply(grad_output, weight, ctx.geometry) if ctx.needs_input_grad[0] else None,
            ConvolutionWeight.apply(gradient, grad_output, weight.shape, ctx.geometry)
            if ctx.needs_input_grad[1]
            else None,
            None,
            None,
        )


class ConvolutionWeight(torch.autograd.Function):
    """Differentiable `convolve_weight`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(gradient, x)
        ctx.geometry = geometry
        return convolve_weight(gradient, x, shape, geometry)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        gradient, x = ctx.saved_tensors
        return (
            Convolution.apply(x, grad_output, ctx.geometry) if ctx.needs_input_grad[0] else None,
            ConvolutionInput.apply(gradient, grad_output, x.shape, ctx.geometry) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )
