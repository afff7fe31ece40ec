"""Search for the layer that gives a network's output, by running the network.

The order in which layers are registered may differ from the order in which they run.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from nas.failures import attempt

HEAD = "_adaptnas_head"
"""Attribute of a network that holds the name of its head; an empty text where it has none."""


def mark_head(network: nn.Module, x: Tensor) -> nn.Module:
    """Stores in the network which layer is its head, and returns the network.

    A copy of the network is run on inputs x (examples, *input_shape). A network that raises an error has no head, nor
    has one on the meta device, whose weights hold no numbers, or one with lazy layers, which take sizes from their
    first input.
    """
    unknown = any(p.is_meta or isinstance(p, nn.UninitializedParameter) for p in network.parameters())
    head = None if unknown else attempt(_head, network, x).value
    setattr(network, HEAD, head or "")
    return network


def marked(network: nn.Module, x: Tensor) -> nn.Module:
    """The network, after `mark_head` where that has not been called yet."""
    return network if hasattr(network, HEAD) else mark_head(network, x)


def head_name(network: nn.Module) -> str | None:
    """Name of the network's head, as `mark_head` found it; None where it has none.

    The head is the nn.Linear that gives the output: it is called once, everything computed from the input passes
    through it, and no learned layer follows it (a softmax or a change of shape may). In a network without a mark it is
    taken to be the last linear layer in the order of registration.
    """
    head: str | None = getattr(network, HEAD, None)
    if head is None:
        names = [name for name, module in network.named_modules() if name and isinstance(module, nn.Linear)]
        return names[-1] if names else None
    return head or None


def names_of(network: nn.Module, layer: nn.Module) -> list[str]:
    """All names under which a layer is registered; the first is the prefix of its parameters' names."""
    return [name for name, module in network.named_modules(remove_duplicate=False) if module is layer]


def rename_head(network: nn.Module, name: str) -> None:
    """Stores a new name of the head."""
    setattr(network, HEAD, name)


def _head(network: nn.Module, x: Tensor) -> str | None:
    """The name of the head, from the autograd graph of the network's output on x."""
    copied = attempt(copy.deepcopy, network).value  # A network's class may have a __deepcopy__ of its own.
    tried = copied if isinstance(copied, nn.Module) else network
    names: dict[nn.Module, str] = {m: name for name, m in tried.named_modules() if isinstance(m, nn.Linear)}
    calls: Counter[str] = Counter()
    layer_of_node: dict[Any, str] = {}

    def called(layer: nn.Module, _: Any, output: Any) -> None:
        calls[names[layer]] += 1
        layer_of_node[output.grad_fn] = names[layer]

    frozen = [p for p in tried.parameters() if not p.requires_grad and p.is_floating_point()]
    with ExitStack() as undo, torch.enable_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for p in frozen:  # A layer after the head counts as such even where its parameters are frozen.
            undo.callback(p.requires_grad_, False)
            p.requires_grad_()
        for layer in names:
            undo.enter_context(layer.register_forward_hook(called))
        # The second clone makes the input no leaf of the graph: a leaf could not be changed in place.
        output = tried(x.clone().requires_grad_().clone())
    ends = _ends(output.grad_fn, layer_of_node)
    name = next(iter(ends), None)
    return name if len(ends) == 1 and name and calls[name] == 1 else None


def _ends(node: Any, layer_of_node: dict[Any, str]) -> set[str]:
    """First ends of all paths back from a node: linear layers by name, and '' for a parameter or the input."""
    ends: set[str] = set()
    visited: set[Any] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        if node in layer_of_node:
            ends.add(layer_of_node[node])
        elif not node.next_functions:
            ends.add("")
        else:
            waiting += [earlier for earlier, _ in node.next_functions]
    return ends
