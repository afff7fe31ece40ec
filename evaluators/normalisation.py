"""What normalisation layers may see: part of the protocol, so that scores with different modes never mix."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from nas.errors import SpaceError

Norm = Literal["group", "batch", "none"]
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
GROUP_SIZE = 8


class Affine(nn.Module):
    """Scale and shift of each channel: what is left of a normalisation that does not normalise."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, …) in and out."""
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return x * self.weight.view(shape) + self.bias.view(shape)


def set_normalisation(network: nn.Module, mode: Norm) -> nn.Module:
    """Replaces every batch normalisation layer of `network`, in place, and returns the network.

    group  group normalisation in groups of about 8 channels (Wu & He, arXiv 1803.08494): each example by itself
    batch  statistics of the batch at hand. Transductive: the queries of a task see each other, as in MAML's published
           numbers
    none   no normalisation, only a scale and shift of each channel

    Raises SpaceError for another layer that keeps running statistics: they belong to no one task.
    """
    replaced: dict[nn.Module, nn.Module] = {}  # a layer that stands in several places stays one layer
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if isinstance(module, BATCH_NORMS):
            network.set_submodule(name, replaced.setdefault(module, _replacement(module, mode)))
        elif getattr(module, "track_running_stats", False):
            raise SpaceError(
                f"layer {name!r} ({type(module).__name__}) keeps running statistics, which belong to no one task; "
                f"use nn.BatchNorm2d (the evaluator's `norm` replaces it) or nn.GroupNorm"
            )
    return network


def normalise_head_input(network: nn.Module) -> nn.Module:
    """Puts a layer normalisation without weights before the last linear layer, in place, and returns the network.

    The step that an inner learning rate makes grows with the square of the features' size, which differs between
    architectures by orders of magnitude. Without this a search ranks candidates by how well their initial scale
    happens to suit one learning rate. A network without a linear layer is left as it is.
    """
    name = last_linear(network)
    if name is not None:
        head = network.get_submodule(name)
        assert isinstance(head, nn.Linear)
        norm = nn.LayerNorm(head.in_features, elementwise_affine=False)
        network.set_submodule(name, nn.Sequential(OrderedDict(norm=norm, linear=head)))
    return network


def last_linear(network: nn.Module) -> str | None:
    """The name of the last linear layer inside the network, in the order of registration; None where there is none."""
    names = [name for name, module in network.named_modules() if name and isinstance(module, nn.Linear)]
    return names[-1] if names else None


def sees_batch(network: nn.Module) -> bool:
    """Whether the network's outputs for one example depend on the others in the batch."""
    return any(isinstance(module, BATCH_NORMS) for module in network.modules())


def _replacement(layer: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d, mode: Norm) -> nn.Module:
    channels = layer.num_features
    if mode == "batch":
        return type(layer)(channels, eps=layer.eps, affine=layer.affine, track_running_stats=False)
    if mode == "none":
        return Affine(channels) if layer.affine else nn.Identity()
    groups = next(g for g in range(max(1, channels // GROUP_SIZE), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=layer.eps, affine=layer.affine)
