"""Standardisation, the part that batch, group and layer normalisation share, with derivatives in few passes.

torch's own second derivatives of it take about twenty passes over the images, and some are wrong under vmap.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Dims = tuple[int, ...]


class Standardise(torch.autograd.Function):
    """z = (x - mean) / sqrt(variance + eps), with mean and (biased) variance over `dims`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: Dims, eps: float) -> Tensor:
        centred = x - x.mean(dims, keepdim=True)
        variance = _mean(centred, centred, dims)
        # An infinite variance must give NaN and not a scale of zero, so that the divergence is noticed.
        scale = (variance + eps).rsqrt_() + variance * 0
        z = centred.mul_(scale)
        ctx.save_for_backward(x, z, scale)
        ctx.dims = dims
        return z

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, z, scale = ctx.saved_tensors
        return StandardiseBackward.apply(gradient, x, z.detach(), scale, ctx.dims), None, None


class StandardiseBackward(torch.autograd.Function):
    """Gradient with respect to x: scale · P(g), with the linear, symmetric P(g) = g - mean(g) - z · mean(g z)."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, z: Tensor, scale: Tensor, dims: Dims) -> Tensor:
        mean, along = g.mean(dims, keepdim=True), _mean(g, z, dims)
        ctx.save_for_backward(g, z, scale, mean, along)
        ctx.dims = dims
        return torch.addcmul(-mean * scale, g, scale).addcmul_(z, -along * scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the sum of v times scale · P(g).

        With respect to g it is scale · P(v). With respect to x, d scale = -scale² mean(z dx) and dz = scale · P(dx)
        give -scale² (mean(v P(g)) z + mean(g z) P(v) + mean(v z) P(g)).
        """
        g, z, scale, g_mean, g_along = ctx.saved_tensors
        v_mean, v_along = v.mean(ctx.dims, keepdim=True), _mean(v, z, ctx.dims)
        grad_g = grad_x = None
        if ctx.needs_input_grad[0]:
            grad_g = torch.addcmul(-v_mean * scale, v, scale).addcmul_(z, -v_along * scale)
        if ctx.needs_input_grad[1]:
            product = _mean(v, g, ctx.dims) - v_mean * g_mean - 3 * v_along * g_along
            factor = -scale * scale
            grad_x = torch.addcmul(-factor * (g_along * v_mean + v_along * g_mean), v, factor * g_along)
            grad_x.addcmul_(g, factor * v_along).addcmul_(z, factor * product)
        return grad_g, grad_x, None, None, None


class Affine(torch.autograd.Function):
    """z times weight plus bias, both of z's shape with ones. torch's own takes more passes in the derivatives."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(z, weight)
        return torch.addcmul(bias, z, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            gradient * weight if wanted[0] else None,
            (gradient * z).sum_to_size(weight.shape) if wanted[1] else None,
            gradient.sum_to_size(weight.shape) if wanted[2] else None,
        )


def _mean(a: Tensor, b: Tensor, dims: Dims) -> Tensor:
    return (a * b).mean(dims, keepdim=True)
