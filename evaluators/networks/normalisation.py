"""Normalisation of candidates' networks: a part of the protocol, so that scores with different modes never mix."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nas.errors import SpaceError
from nas.networks.batch_order import BATCH_NORMS

from .output_layer import head_name, names_of, rename_head

Norm = Literal["group", "batch", "support", "none", "running"]
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
GROUP_SIZE = 8


@dataclass(frozen=True)
class Normalisation:
    """Normalisation of a network.

    Attributes:
        norm: Statistics that batch normalisation layers use (`set_normalisation`).
        head_norm: Whether the input of the head is normalised (`normalise_head_input`).
    """

    norm: Norm = "group"
    head_norm: bool = True


class Affine(nn.Module):
    """Scale and shift of each channel, the learned part of a normalisation layer."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, …) in and out."""
        scaled = x.movedim(1, -1) * self.weight
        return (scaled if self.bias is None else scaled + self.bias).movedim(-1, 1)


class SupportNorm(nn.Module):
    """Normalisation of each channel by mean and variance over the support set, for support and query examples.

    The layer keeps no statistics: a batch holds the support examples and then the queries. The number of queries is the
    length of the buffer `queries`, whose content means nothing; `query_markers` makes that buffer for one call. Without
    it all examples are support examples.
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


class RunningNorm(nn.Module):
    """Batch normalisation with running averages (Ioffe & Szegedy, arXiv 1502.03167), for ordinary training.

    Unlike torch's layers it does not look at `training`: it uses and updates the statistics of the batch only within
    `batch_statistics`, and the running averages at all other times, so that a network is the same in training and in
    evaluation mode. The averages begin as mean 0 and variance 1.

    Args:
        layer: The layer of torch in whose place it stands, whose parameters it takes.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, layer: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = layer.weight, layer.bias, layer.eps
        self.momentum = 0.1 if layer.momentum is None else layer.momentum
        self.of_batch = False
        self.register_buffer("mean", torch.zeros(layer.num_features))
        self.register_buffer("variance", torch.ones(layer.num_features))

    def forward(self, x: Tensor) -> Tensor:
        """(examples, channels, …) in and out."""
        return nn.functional.batch_norm(
            x, self.mean, self.variance, self.weight, self.bias, self.of_batch, self.momentum, self.eps
        )


@contextmanager
def batch_statistics(network: nn.Module) -> Iterator[None]:
    """Within the context each `RunningNorm` normalises by its batch, and updates its averages."""
    layers = [module for module in network.modules() if isinstance(module, RunningNorm)]
    for layer in layers:
        layer.of_batch = True
    try:
        yield
    finally:
        for layer in layers:
            layer.of_batch = False


BATCH_LAYERS = (*BATCH_NORMS, SupportNorm)
"""Layers in which the output for one example depends on the rest of the batch, as the evaluator's `norm` allows."""
NORMALISATIONS = (*BATCH_NORMS, *INSTANCE_NORMS, nn.GroupNorm, nn.LayerNorm, SupportNorm, RunningNorm, Affine)
"""Layers that normalise, or scale and shift normalised values."""


def set_normalisation(network: nn.Module, mode: Norm) -> nn.Module:
    """Replaces every batch normalisation layer of `network`, in place, and returns the network.

    Args:
        network: The network.
        mode: 'group': group normalisation in groups of about 8 channels (Wu & He, arXiv 1803.08494), for each example
            by itself. 'batch': statistics of the current batch; this is transductive, because the queries of a task
            influence each other, as in MAML's published numbers. 'support': statistics of the support set, reused for
            the queries, which do not influence each other. 'none': only a scale and shift of each channel.
            'running': running averages (`RunningNorm`), for training on one data set.

    Raises:
        SpaceError: Another layer keeps running statistics, which would mix the tasks.
    """
    replaced: dict[nn.Module, nn.Module] = {}  # A layer that is registered several times stays one layer.
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
    """Layer normalisation and a linear layer, with the linear layer's attributes, which a `forward` may read."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("linear"), name)


def normalise_head_input(network: nn.Module) -> nn.Module:
    """Puts a layer normalisation without weights before the network's head, in place, and returns the network.

    The effect of one inner step grows with the square of the features' norm, which differs between architectures by
    orders of magnitude. Without this layer a search would rank candidates by how well their initial scale happens to
    suit the inner learning rate. A network without a head (`output_layer.head_name`) is left as it is.
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
    """Names of the parameters of normalisation layers: their scales and shifts."""
    modules = [(name, module) for name, module in network.named_modules() if isinstance(module, NORMALISATIONS)]
    return {f"{name}.{short}" for name, module in modules for short, _ in module.named_parameters(recurse=False)}


def sees_batch(network: nn.Module) -> bool:
    """Whether the network's output for one example depends on the other examples of the batch."""
    return any(isinstance(module, BATCH_LAYERS) for module in network.modules())


def query_markers(network: nn.Module, queries: int) -> dict[str, Tensor]:
    """Buffers, by name, that mark the last examples of a batch as queries (`SupportNorm`).

    They take the place of the network's own buffers for one call. The result is empty for a network without such
    layers.
    """
    layers = [name for name, module in network.named_modules() if isinstance(module, SupportNorm)]
    return {f"{name}.queries".removeprefix("."): torch.empty(queries) for name in layers}


def _replacement(layer: nn.Module, mode: Norm) -> nn.Module | None:
    """The replacement of a layer, with the same parameters; None where the layer can stay."""
    if not isinstance(layer, BATCH_NORMS):
        return None
    if mode == "group":
        return _group_norm(layer)
    if mode == "batch":
        norm = type(layer)(layer.num_features, eps=layer.eps, affine=layer.affine, track_running_stats=False)
        norm.weight, norm.bias = layer.weight, layer.bias
        return norm
    if mode == "running":
        return RunningNorm(layer)
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
