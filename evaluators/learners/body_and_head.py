"""Body and head of a network, and the body's features of a batch of tasks, computed once for all tasks."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import vmap

from nas.errors import SpaceError
from nas.task import TaskBatch

from ..networks.compatibility import check_gradient
from ..networks.layer_calls import calls_of
from ..networks.normalisation import query_markers, sees_batch
from ..networks.output_layer import head_name, marked, names_of
from .inner_loop import network_parameters
from .vectorised.channels_last import call_examples
from .vectorised.per_task_weights import call


def head_of(split: Split, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The head's parameters by their names in the head, without those that are not learned."""
    return {name.removeprefix(split.prefix): p for name, p in parameters.items() if name.startswith(split.prefix)}


def features_of(split: Split, parameters: Mapping[str, Tensor], batch: TaskBatch) -> TaskBatch:
    """The batch with the body's features in place of its inputs.

    A body that treats each example by itself runs once over all tasks. A body that uses batch statistics computes them
    over one task's support set, or over one task's queries.
    """
    body = {name: p for name, p in network_parameters(parameters).items() if not name.startswith(split.prefix)}
    tasks, support = batch.support_x.shape[:2]
    markers = query_markers(split.body, batch.query_x.shape[1])
    if sees_batch(split.body) and not markers:
        support_x, query_x = (_task_by_task(split.body, body, x) for x in (batch.support_x, batch.query_x))
        return replace(batch, support_x=support_x, query_x=query_x)
    x = torch.cat([batch.support_x, batch.query_x], dim=1)
    if markers:
        features = vmap(lambda x: call(split.body, {**body, **markers}, x))(x)
        return replace(batch, support_x=features[:, :support], query_x=features[:, support:])
    features = call_examples(split.body, body, x.flatten(0, 1))
    features = features.reshape(tasks, -1, *features.shape[1:])
    return replace(batch, support_x=features[:, :support], query_x=features[:, support:])


def _task_by_task(body: nn.Module, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The body's features of x (tasks, examples, *input_shape), with batch statistics of one task at a time.

    A GPU takes all tasks at once under vmap; a CPU one task after the other, whose images then stay in the cache.
    """
    if x.device.type == "cpu":
        return torch.stack([call_examples(body, parameters, examples) for examples in x])
    features: Tensor = vmap(lambda examples: call(body, parameters, examples))(x)
    return features


NO_HEAD = (
    "this learner adapts a linear head, but the network has no body followed by an nn.Linear that gives its output "
    "(called once, with nothing beside it and nothing learned after it)"
)


@dataclass(frozen=True)
class Split:
    """Network split into body and head: `network(x)` equals `head(body(x))`.

    Attributes:
        body: Network with the identity in place of its head; its parameters have the names that they have in the whole.
        head: Linear layer that gives the output.
        prefix: Prefix of the names of the head's parameters in the whole network.
    """

    body: nn.Module
    head: nn.Linear
    prefix: str


def split_head(network: nn.Module) -> Split:
    """Splits a network before the layer that gives its output (`output_layer.head_name`).

    The body shares the network's parameters.

    Raises:
        SpaceError: The network has no such layer.
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
    """The module with an identity in place of the layer at `path`. Only the modules on the path are copied."""
    clone = copy.copy(module)
    clone._modules = dict(module._modules)
    inner = clone.get_submodule(path[0])
    clone._modules[path[0]] = _without(inner, path[1:]) if path[1:] else nn.Identity()
    return clone


def check_head(network: nn.Module, x: torch.Tensor) -> None:
    """Checks that the network is its body followed by its head, and differentiable.

    Args:
        network: The network.
        x: Inputs (examples, *input_shape) to try it on.

    Raises:
        SpaceError: Body and head give other outputs than the network, or have no gradient.
    """
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
