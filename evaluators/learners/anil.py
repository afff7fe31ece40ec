"""ANIL: MAML whose inner loop adapts only the head, so that the body runs once for all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import vmap

from nas.protocols import Kind, TaskBatch

from ..normalisation import sees_batch
from .heads import Split, check_head, split_head
from .inner import call, channels_last, check_options, gradient_step, loss_of
from .maml import Maml


@dataclass(frozen=True)
class Anil:
    """Almost no inner loop (Raghu et al., arXiv 1909.09157): the body is meta-learned, the head adapts.

    The head is the network's last linear layer (see `heads`). The body's features are taken once per example; the
    inner steps, differentiated to second order, act on features and head alone.
    """

    inner_lr: float = 0.4
    steps: int = 5
    outer_lr: float = 1e-3
    name = "anil"
    outer_optimizer: ClassVar[Literal["adam", "sgd"]] = "adam"

    def __post_init__(self) -> None:
        check_options(self.name, steps=self.steps, inner_lr=self.inner_lr, outer_lr=self.outer_lr)

    def check(self, network: nn.Module, x: Tensor) -> None:
        check_head(network, x)

    def meta_gradient(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind
    ) -> tuple[Tensor, dict[str, Tensor]]:
        split = split_head(network)
        leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        features = _features(split, leaves, batch)
        head = _head(split, leaves)
        loss = loss_of(kind)

        def query_loss(sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> Tensor:
            p = head
            for _ in range(self.steps):
                p = gradient_step(split.head, p, sx, sy, loss=loss, lr=self.inner_lr, first_order=False)
            return loss(call(split.head, p, qx), qy)

        losses: Tensor = vmap(query_loss)(features.support_x, features.support_y, features.query_x, features.query_y)
        value = losses.mean()
        gradients = torch.autograd.grad(value, list(leaves.values()), materialize_grads=True)
        return value.detach(), dict(zip(leaves, gradients, strict=True))

    def adapt(
        self, network: nn.Module, parameters: Mapping[str, Tensor], batch: TaskBatch, kind: Kind, steps: int
    ) -> Tensor:
        split = split_head(network)
        with torch.no_grad():
            features = _features(split, parameters, batch)
        return Maml(inner_lr=self.inner_lr).adapt(split.head, _head(split, parameters), features, kind, steps)


def _head(split: Split, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The head's own parameters, without those that are not learned."""
    return {name.removeprefix(split.prefix): p for name, p in parameters.items() if name.startswith(split.prefix)}


def _features(split: Split, parameters: Mapping[str, Tensor], batch: TaskBatch) -> TaskBatch:
    """The batch with the body's features in place of its inputs.

    A body that treats each example by itself runs once over all tasks. One that uses batch statistics runs under vmap,
    which keeps them inside one task's support or queries; its weights are shared, so convolutions stay ordinary ones.
    """
    body = {name: p for name, p in parameters.items() if not name.startswith(split.prefix)}
    if sees_batch(split.body):
        run = vmap(lambda x: call(split.body, body, x))
        return replace(batch, support_x=run(batch.support_x), query_x=run(batch.query_x))
    tasks, support = batch.support_x.shape[:2]
    x = torch.cat([batch.support_x, batch.query_x], dim=1).flatten(0, 1)
    norms = [module for module in split.body.modules() if isinstance(module, nn.GroupNorm)]
    hooks = [norm.register_forward_pre_hook(_relaid) for norm in norms]
    try:
        features = call(split.body, body, channels_last(x))
    finally:
        for hook in hooks:
            hook.remove()
    features = features.reshape(tasks, -1, *features.shape[1:])
    return replace(batch, support_x=features[:, :support], query_x=features[:, support:])


def _relaid(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """The input of a group normalisation, not channels last where the gradient of the layer's weights is wanted but the
    input's is not: there torch 2.13 crashes."""
    (x,) = inputs
    if torch.is_grad_enabled() and not x.requires_grad:
        return (x.clone(memory_format=torch.contiguous_format),)
    return inputs
