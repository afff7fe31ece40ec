"""Where a network's head begins: the last linear layer, which learners like ANIL adapt alone."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from nas.errors import SpaceError

from ..normalisation import last_linear


@dataclass(frozen=True)
class Split:
    """A network as body and head: `network(x)` equals `head(body(x))`.

    `prefix` is what the head's parameter names begin with in the whole network; the body's names are unchanged.
    """

    body: nn.Module
    head: nn.Module
    prefix: str


def split_head(network: nn.Module) -> Split:
    """Takes the last linear layer (in the order of registration) as the head.

    The body shares the network's parameters. Raises SpaceError when the network has no linear layer.
    """
    name = last_linear(network)
    if name is None:
        raise SpaceError("this learner adapts a linear head, but the network has no body followed by an nn.Linear")
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    body = copy.deepcopy(network, shared)
    body.set_submodule(name, nn.Identity())
    return Split(body, network.get_submodule(name), name + ".")


def check_head(network: nn.Module, x: torch.Tensor) -> None:
    """Raises SpaceError where body and head do not make up the network on `x` (examples, *input_shape)."""
    split = split_head(network)
    with torch.no_grad():
        apart, whole = split.head(split.body(x)), network(x)
    if apart.shape != whole.shape or not torch.allclose(apart, whole, rtol=1e-4, atol=1e-5):
        raise SpaceError(
            f"this learner adapts the head alone, but the network does more after its last linear layer, "
            f"{split.prefix[:-1]!r}; end `forward` with that layer"
        )
