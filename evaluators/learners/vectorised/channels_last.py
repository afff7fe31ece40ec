"""Calls of a network with one set of weights for all examples, in the memory layout that is fastest on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .per_task_weights import Parameters, call


def call_examples(network: nn.Module, parameters: Parameters, x: Tensor) -> Tensor:
    """`network(x)` with `parameters` in place of its own: (examples, *input_shape) -> (examples, outputs)."""
    norms = [module for module in network.modules() if isinstance(module, nn.GroupNorm)]
    hooks = [norm.register_forward_pre_hook(_relaid) for norm in norms]
    try:
        return call(network, parameters, channels_last(x))
    finally:
        for hook in hooks:
            hook.remove()


def channels_last(x: Tensor) -> Tensor:
    """Images (examples, channels, height, width) on the CPU with channels last in memory; other tensors unchanged.

    Convolutions and pools on a CPU are several times faster with this layout. With one channel both layouts have the
    same elements in the same places, and a convolution chooses the layout of its output by the strides alone, so the
    strides are set explicitly.
    """
    if x.dim() != 4 or x.device.type != "cpu":
        return x
    _, channels, height, width = x.shape
    strides = (channels * height * width, 1, width * channels, channels)
    return x.contiguous(memory_format=torch.channels_last).as_strided(x.shape, strides)


def _relaid(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """The input of a group normalisation, in a layout with which torch does not crash.

    torch 2.13 crashes on an input with channels last when it needs the gradient of the layer's weights but not of the
    input.
    """
    (x,) = inputs
    if torch.is_grad_enabled() and not x.requires_grad:
        return (x.clone(memory_format=torch.contiguous_format),)
    return inputs
