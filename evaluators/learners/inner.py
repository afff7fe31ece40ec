"""What gradient-based learners share: calling a network with given weights, its loss, and plain inner steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from nas.errors import ConfigError
from nas.protocols import Kind

Parameters = Mapping[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


def call(network: nn.Module, parameters: Parameters, x: Tensor) -> Tensor:
    """`network(x)` with `parameters` in place of its own: (examples, *input_shape) -> (examples, outputs)."""
    output: Tensor = functional_call(network, dict(parameters), (x,))
    return output


def channels_last(x: Tensor) -> Tensor:
    """Images (examples, channels, height, width) on the CPU laid out channels last; other tensors as they are.

    There convolutions and pools are several times faster so. With one channel both layouts have the same elements in
    the same places, and only strides tell a convolution which one to carry on with.
    """
    if x.dim() != 4 or x.device.type != "cpu":
        return x
    _, channels, height, width = x.shape
    strides = (channels * height * width, 1, width * channels, channels)
    return x.contiguous(memory_format=torch.channels_last).as_strided(x.shape, strides)


def loss_of(kind: Kind) -> Loss:
    """Mean cross-entropy of (examples, classes) logits, or mean squared error of (examples, outputs) predictions."""
    return nn.functional.cross_entropy if kind == "classification" else nn.functional.mse_loss


def gradient_step(
    network: nn.Module, parameters: Parameters, x: Tensor, y: Tensor, *, loss: Loss, lr: float, first_order: bool
) -> dict[str, Tensor]:
    """The parameters after one step of gradient descent on one task's examples.

    With `first_order` the gradient is detached: the outer gradient then takes the step as a constant shift
    (Finn et al., arXiv 1703.03400, section 5.2).
    """
    gradients = grad(lambda p: loss(call(network, p, x), y))(dict(parameters))
    if first_order:
        gradients = {name: g.detach() for name, g in gradients.items()}
    return {name: p - lr * gradients[name] for name, p in parameters.items()}


def check_options(learner: str, *, steps: int, **rates: float) -> None:
    """Raises ConfigError where the number of inner steps or a rate cannot be used."""
    if steps < 1:
        raise ConfigError(f"{learner} steps = {steps}; at least 1 inner step is needed")
    for option, value in rates.items():
        if not value > 0:
            raise ConfigError(f"{learner} {option} = {value}; it must be above 0")
