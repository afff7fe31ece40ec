"""What normalisation layers may see: part of the protocol, so that scores with different modes never mix."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nas.errors import SpaceError
from nas.networks.batch_order import BATCH_NORMS

from .output_layer import head_name, names_of, rename_head

Norm = Literal["group", "batch", "support", "none"]
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
GROUP_SIZE = 8


class Affine(nn.Module):
    """Scale and shift of each channel: what a normalisation layer does besides normalising."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, …) in and out."""
        scaled = x.movedim(1, -1) * self.weight
        return (scaled if self.bias is None else scaled + self.bias).movedim(-1, 1)


class SupportNorm(nn.Module):
    """Normalises each channel by mean and variance of the support set's examples, and the queries by the same.

    Nothing is remembered: support and queries are given together, queries last. How many they are is the length of
    the buffer `queries`, whose content means nothing; `queries_told` gives it for one call. Without it all examples
    are the support set's.
    """

    queries: Tensor

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("queries", torch.empty(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, …) in and out."""
        support = x[: x.shape[0] - self.queries.shape[0]]
        dims = [0, *range(2, x.dim())]
        mean = support.mean(dims, keepdim=True)
        variance = (support - mean).square().mean(dims, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + self.eps)


BATCH_LAYERS = (*BATCH_NORMS, SupportNorm)
"""The layers by which the examples of a batch see each other, as the evaluator's `norm` says."""
NORMALISATIONS = (*BATCH_NORMS, *INSTANCE_NORMS, nn.GroupNorm, nn.LayerNorm, SupportNorm, Affine)
"""The layers that normalise, or scale and shift what was normalised."""


def set_normalisation(network: nn.Module, mode: Norm) -> nn.Module:
    """Replaces every batch normalisation layer of `network`, in place, and returns the network.

    group  group normalisation in groups of about 8 channels (Wu & He, arXiv 1803.08494): each example by itself
    batch  statistics of the batch at hand. Transductive: the queries of a task see each other, as in MAML's published
           numbers
    support  statistics of the support set, reused for the queries, which do not see each other
    none   no normalisation, only a scale and shift of each channel

    Raises SpaceError for another layer that keeps running statistics: they belong to no one task.
    """
    replaced: dict[nn.Module, nn.Module] = {}  # a layer that stands in several places stays one layer
    for name, module in list(network.named_modules(remove_duplicate=False)):
        replacement = replaced.get(module) or _replacement(module, mode)
        if replacement is not None:
            network.set_submodule(name, replacement)
            replaced[module] = replacement
        elif getattr(module, "track_running_stats", False):
            raise SpaceError(
                f"layer {name!r} ({type(module).__name__}) keeps running statistics, which belong to no one task; "
                f"use nn.BatchNorm2d (the evaluator's `norm` replaces it) or nn.GroupNorm"
            )
    return network


class NormalisedHead(nn.Sequential):
    """Layer normalisation, then a linear layer, whose attributes it has too, as a forward may read them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("linear"), name)


def normalise_head_input(network: nn.Module) -> nn.Module:
    """Puts a layer normalisation without weights before the network's head, in place, and returns the network.

    The step that an inner learning rate makes grows with the square of the features' size, which differs between
    architectures by orders of magnitude. Without this a search ranks candidates by how well their initial scale
    happens to suit one learning rate. A network without a head (`output_layer.head_name`) is left as it is.
    """
    name = head_name(network)
    if name is not None:
        head = network.get_submodule(name)
        assert isinstance(head, nn.Linear)
        norm = nn.LayerNorm(head.in_features, elementwise_affine=False)
        normalised = NormalisedHead(OrderedDict(norm=norm, linear=head))
        for each in names_of(network, head):
            network.set_submodule(each, normalised)
        rename_head(network, f"{name}.linear")
    return network


def norm_parameters(network: nn.Module) -> set[str]:
    """The names of the parameters of normalisation layers: their scales and shifts."""
    modules = [(name, module) for name, module in network.named_modules() if isinstance(module, NORMALISATIONS)]
    return {f"{name}.{own}" for name, module in modules for own, _ in module.named_parameters(recurse=False)}


def sees_batch(network: nn.Module) -> bool:
    """Whether the network's outputs for one example depend on the others in the batch."""
    return any(isinstance(module, BATCH_LAYERS) for module in network.modules())


def queries_told(network: nn.Module, queries: int) -> dict[str, Tensor]:
    """What tells a network, in place of its own buffers, that the last examples are queries (`SupportNorm`).

    Empty where it need not know.
    """
    layers = [name for name, module in network.named_modules() if isinstance(module, SupportNorm)]
    return {f"{name}.queries".removeprefix("."): torch.empty(queries) for name in layers}


def _replacement(layer: nn.Module, mode: Norm) -> nn.Module | None:
    """What stands in for a layer, with the same parameters; None where the layer can stay."""
    if not isinstance(layer, BATCH_NORMS):
        return None
    if mode == "group":
        return _group_norm(layer)
    if mode == "batch":
        norm = type(layer)(layer.num_features, eps=layer.eps, affine=layer.affine, track_running_stats=False)
        norm.weight, norm.bias = layer.weight, layer.bias
        return norm
    plain = SupportNorm(layer.eps) if mode == "support" else nn.Identity()
    if not layer.affine:
        return plain
    return nn.Sequential(OrderedDict(norm=plain, affine=Affine(layer.weight, layer.bias)))


def _group_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) -> nn.GroupNorm:
    channels = layer.num_features
    groups = next(g for g in range(max(1, channels // GROUP_SIZE), 0, -1) if channels % g == 0)
    norm = nn.GroupNorm(groups, channels, eps=layer.eps, affine=layer.affine)
    norm.weight, norm.bias = layer.weight, layer.bias
    return norm
