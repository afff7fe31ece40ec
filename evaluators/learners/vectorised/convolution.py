"""Convolution of many tasks at once, each with weights of its own, and its derivatives of any order.

A convolution is linear in its images and in its weights; so are its two derivatives, which are each other's. The three
are computed here in whichever way is the fastest for a device and a shape. torch's own second derivatives of grouped
convolutions go through the groups one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

FEW_ROWS = 32
"""Up to this many output pixels of a task a matrix product of patches is faster on a CPU than a grouped convolution."""


class Geometry(NamedTuple):
    """As in `torch.nn.functional.conv2d`."""

    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    groups: int


def shared(weight: Tensor) -> bool:
    """Whether all tasks have the same weights, as before the first inner step: one ordinary convolution serves all."""
    return weight.shape[0] == 1 or weight.stride(0) == 0


def by_patches(x: Tensor, weight_shape: Sequence[int], pixels: int, geometry: Geometry) -> bool:
    """Whether to take patches of the images and multiply matrices; else the tasks become groups of one convolution."""
    if geometry.groups > 1:
        return False
    return x.device.type != "cpu" or x.shape[1] * pixels <= FEW_ROWS


def convolve(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """x (tasks, images, in, height, width), weight (tasks, out, in / groups, kh, kw) -> (tasks, images, out, …)."""
    tasks, (stride, padding, dilation, groups) = x.shape[0], geometry
    if shared(weight):
        y = torch.conv2d(_merged(x), weight[0], None, stride, padding, dilation, groups)
        return y.unflatten(0, (-1, tasks)).transpose(0, 1)
    height, width = out_size(x.shape, weight.shape, geometry)
    if by_patches(x, weight.shape, height * width, geometry):
        y = patches(x, weight.shape, geometry) @ weight_matrix(weight)
        return y.reshape(tasks, x.shape[1], height, width, -1).movedim(-1, 2)
    y = torch.conv2d(_grouped(x), weight.flatten(0, 1), None, stride, padding, dilation, groups * tasks)
    return _apart(y, tasks)


def convolve_input(gradient: Tensor, weight: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
    """The derivative by x, of `shape`, of the sum of `gradient` times the convolution."""
    tasks = shape[0]
    if shared(weight):
        x = gradient.new_empty(()).expand(tasks * shape[1], *shape[2:])
        return _backward(_merged(gradient), x, weight[0], geometry, 0).unflatten(0, (-1, tasks)).transpose(0, 1)
    if by_patches(gradient, weight.shape, gradient.shape[-2] * gradient.shape[-1], geometry):
        rows = gradient.movedim(2, -1).reshape(tasks, -1, weight.shape[1])
        return unpatched(rows @ weight_matrix(weight).mT, shape, weight.shape, geometry)
    x = gradient.new_empty(()).expand(shape[1], tasks * shape[2], *shape[3:])
    geometry = geometry._replace(groups=geometry.groups * tasks)
    return _apart(_backward(_grouped(gradient), x, weight.flatten(0, 1), geometry, 0), tasks)


def convolve_weight(gradient: Tensor, x: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
    """The derivative by the weights, of `shape`, of the sum of `gradient` times the convolution."""
    tasks, outputs = shape[:2]
    if by_patches(x, shape, gradient.shape[-2] * gradient.shape[-1], geometry):
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
    """What the kernel sees at each output pixel: (tasks, images * height * width, kh * kw * in)."""
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
    """Images of `shape`, each pixel the sum of what stands for it in columns laid out as `patches`; its transpose."""
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
    """(tasks, kh * kw * in, out)"""
    return weight.movedim(2, -1).flatten(2).mT


def _merged(x: Tensor) -> Tensor:
    """(tasks, images, …) -> (images * tasks, …), likewise."""
    return x.transpose(0, 1).flatten(0, 1)


def _grouped(x: Tensor) -> Tensor:
    """(tasks, images, channels, …) -> (images, tasks * channels, …), without a copy where memory is laid out so."""
    return x.transpose(0, 1).flatten(1, 2)


def _apart(y: Tensor, tasks: int) -> Tensor:
    return y.unflatten(1, (tasks, -1)).transpose(0, 1)


def _backward(gradient: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, by: int) -> Tensor:
    """torch's derivative of a convolution by x (0) or weight (1), of which only the shape need be known."""
    stride, padding, dilation, groups = geometry
    wanted = [by == 0, by == 1, False]
    derivatives: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, dilation, False, [0, 0], groups, wanted
    )
    return derivatives[by]


class Convolution(torch.autograd.Function):
    """`convolve`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return convolve(x, weight, geometry)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        return (
            ByInput.apply(gradient, weight, x.shape, ctx.geometry) if ctx.needs_input_grad[0] else None,
            ByWeight.apply(gradient, x, weight.shape, ctx.geometry) if ctx.needs_input_grad[1] else None,
            None,
        )


class ByInput(torch.autograd.Function):
    """`convolve_input`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.geometry = geometry
        return convolve_input(gradient, weight, shape, geometry)

    @staticmethod
    def backward(ctx: Any, by: Tensor) -> tuple[Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        return (
            Convolution.apply(by, weight, ctx.geometry) if ctx.needs_input_grad[0] else None,
            ByWeight.apply(gradient, by, weight.shape, ctx.geometry) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


class ByWeight(torch.autograd.Function):
    """`convolve_weight`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, shape: torch.Size, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(gradient, x)
        ctx.geometry = geometry
        return convolve_weight(gradient, x, shape, geometry)

    @staticmethod
    def backward(ctx: Any, by: Tensor) -> tuple[Tensor | None, ...]:
        gradient, x = ctx.saved_tensors
        return (
            Convolution.apply(x, by, ctx.geometry) if ctx.needs_input_grad[0] else None,
            ByInput.apply(gradient, by, x.shape, ctx.geometry) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )
