"""A network as body and head: the linear layer that gives the output, which learners like ANIL adapt alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from nas.errors import SpaceError

from ..calls import calls_of
from ..normalisation import sees_batch
from ..output_layer import head_name, marked, names_of
from ..refusals import check_gradient

NO_HEAD = (
    "this learner adapts a linear head, but the network has no body followed by an nn.Linear that gives its output "
    "(called once, with nothing beside it and nothing learned after it)"
)


@dataclass(frozen=True)
class Split:
    """A network as body and head: `network(x)` equals `head(body(x))`.

    `prefix` is what the head's parameter names begin with in the whole network; the body's names are unchanged.
    """

    body: nn.Module
    head: nn.Linear
    prefix: str


def split_head(network: nn.Module) -> Split:
    """Takes the layer that gives the output as the head (`output_layer.head_name`).

    The body shares the network's parameters. Raises SpaceError when the network has no such layer.
    """
    name = head_name(network)
    if name is None:
        raise SpaceError(NO_HEAD)
    head = network.get_submodule(name)
    assert isinstance(head, nn.Linear)
    body, names = network, names_of(network, head)
    for each in names:
        body = _without(body, each.split("."))
    return Split(body, head, names[0] + ".")


def _without(module: nn.Module, path: Sequence[str]) -> nn.Module:
    """The module with an identity in place of the layer at `path`. Copies only what lies on the path: it is quick."""
    clone = copy.copy(module)
    clone._modules = dict(module._modules)
    inner = clone.get_submodule(path[0])
    clone._modules[path[0]] = _without(inner, path[1:]) if path[1:] else nn.Identity()
    return clone


def check_head(network: nn.Module, x: torch.Tensor) -> None:
    """Raises SpaceError where body and head do not make up the network on `x` (examples, *input_shape), or have no
    gradient."""
    if head_name(marked(network, x)) is None:
        layers = [call for call in calls_of(network, x) if not any(call.module.children())]
        last = f"; the last of its layers to run is {layers[-1]!s}" if layers else ""
        raise SpaceError(NO_HEAD + last)
    split = split_head(network)
    with torch.no_grad():
        whole = network(x)
        try:
            apart = split.head(split.body(x))
            same = apart.shape == whole.shape and torch.allclose(apart, whole, rtol=1e-4, atol=1e-5)
        except RuntimeError:  # the body's output does not even fit the head
            same = False
    if not same:
        raise SpaceError(
            f"this learner adapts the head alone, but the network does more after its head, layer "
            f"{split.prefix[:-1]!r}; end `forward` with that layer"
        )
    check_gradient(network, x, batched=sees_batch(network), twice=False)
