"""Gradient of the validation loss by the augmentation of the training images, through one unrolled step.

With ω' = ω - ξ ∇ω L_train(ω, φ) the validation loss L_val(ω') depends on the parameters φ of the augmentation. Its
gradient contains a product with the second derivative of the training loss, which is taken by finite differences
(Li et al., arXiv 2003.03780, section 3.4; as in DARTS): with v = ∇ω' L_val(ω') and ω± = ω ± ε v,

    ∇φ L_val(ω') ≈ ∇φ E[h],    h = -ξ (L_train(ω+) - L_train(ω-)) / (2 ε)

and each training image contributes an h of its own, which depends on its own augmentation. The derivative of h by the
pixels is taken with ω in place of ω-, where the training step has it already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

EPSILON = 0.01
"""Length of the step of the finite difference: ε = 0.01 / |v|."""


@dataclass(frozen=True, eq=False)
class UnrolledStep:
    """Result of one unrolled step.

    Attributes:
        losses: (images,) h of each training image.
        by_pixels: (images,) derivative of h when all pixels of the image rise alike.
        gradients: Gradient of the training loss by each weight, at the weights before the step.
        train_loss: Training loss, a scalar.
        validation_loss: Validation loss after the step, a scalar.
    """

    losses: Tensor
    by_pixels: Tensor
    gradients: tuple[Tensor, ...]
    train_loss: Tensor
    validation_loss: Tensor


def unrolled_step(
    network: nn.Module, train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], rate: float
) -> UnrolledStep:
    """One unrolled step. The weights are changed meanwhile, and are at the end what they were.

    Args:
        network: Network whose output for one image does not depend on the others.
        train: Augmented training images (images, *input_shape) float32, and labels (images,) int64.
        validation: Validation images and labels likewise.
        rate: Size ξ of the step, above 0.
    """
    weights = [p for p in network.parameters() if p.requires_grad]
    before = [w.detach().clone() for w in weights]
    x, y = train[0].detach().requires_grad_(), train[1]
    losses = nn.functional.cross_entropy(network(x), y, reduction="none")
    by_x, *gradients = torch.autograd.grad(losses.sum() / len(y), [x, *weights], materialize_grads=True)
    _set(weights, before, gradients, -rate)
    validation_loss = nn.functional.cross_entropy(network(validation[0]), validation[1])
    direction = torch.autograd.grad(validation_loss, weights, materialize_grads=True)
    length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(direction)))
    epsilon = EPSILON / length.clamp(min=1e-12)
    _set(weights, before, direction, epsilon)
    above = nn.functional.cross_entropy(network(x), y, reduction="none")
    (above_by_x,) = torch.autograd.grad(above.sum(), [x])
    with torch.no_grad():
        _set(weights, before, direction, -epsilon)
        below = nn.functional.cross_entropy(network(x), y, reduction="none")
        _set(weights, before, direction, 0.0)
    by_pixels = (above_by_x - by_x * len(y)).flatten(1).sum(dim=1)
    return UnrolledStep(
        losses=-rate / (2 * epsilon) * (above.detach() - below),
        by_pixels=-rate / epsilon * by_pixels,
        gradients=tuple(gradients),
        train_loss=losses.detach().mean(),
        validation_loss=validation_loss.detach(),
    )


def _set(
    weights: Sequence[Tensor], before: Sequence[Tensor], direction: Sequence[Tensor], size: Tensor | float
) -> None:
    """Sets the weights to `before` + `size` * `direction`."""
    with torch.no_grad():
        for weight, start, step in zip(weights, before, direction, strict=True):
            weight.copy_(start + size * step)
