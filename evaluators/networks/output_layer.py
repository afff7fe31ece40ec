"""Which layer gives a network's output: found by running the network, as the order of registration may be another."""

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
"""The attribute of a network that holds its head's name; an empty text where it has none."""


def mark_head(network: nn.Module, x: Tensor) -> nn.Module:
    """Notes in the network which layer is its head, found on inputs x (examples, *input_shape), and returns it.

    The network itself is not run, but a copy. One that does not run has no head; nor has one on the meta device, whose
    weights hold no numbers, or one that takes sizes from its first input.
    """
    unknown = any(p.is_meta or isinstance(p, nn.UninitializedParameter) for p in network.parameters())
    head, error = (None, None) if unknown else attempt(_head, network, x)
    setattr(network, HEAD, head if head and error is None else "")
    return network


def marked(network: nn.Module, x: Tensor) -> nn.Module:
    """The network, marked by `mark_head` where it is not yet."""
    return network if hasattr(network, HEAD) else mark_head(network, x)


def head_name(network: nn.Module) -> str | None:
    """The name of the network's head, as `mark_head` found it; None where it has none.

    The head is the nn.Linear that gives the output: it is called once, all that is computed from the input goes through
    it, and nothing is learned after it (a softmax or a change of shape may follow). Of a network that is not marked it
    is taken to be the last linear layer in the order of registration.
    """
    marked: str | None = getattr(network, HEAD, None)
    if marked is None:
        names = [name for name, module in network.named_modules() if name and isinstance(module, nn.Linear)]
        return names[-1] if names else None
    return marked or None


def names_of(network: nn.Module, layer: nn.Module) -> list[str]:
    """All names under which a layer is registered; its parameters' names begin with the first."""
    return [name for name, module in network.named_modules(remove_duplicate=False) if module is layer]


def rename_head(network: nn.Module, name: str) -> None:
    """Notes that the head now stands under another name."""
    setattr(network, HEAD, name)


def _head(network: nn.Module, x: Tensor) -> str | None:
    """The head's name, from the graph of the network's output on x."""
    copied, error = attempt(copy.deepcopy, network)
    tried = network if error is not None or not isinstance(copied, nn.Module) else copied
    names: dict[nn.Module, str] = {m: name for name, m in tried.named_modules() if isinstance(m, nn.Linear)}
    calls: Counter[str] = Counter()
    given: dict[Any, str] = {}

    def called(layer: nn.Module, _: Any, output: Any) -> None:
        calls[names[layer]] += 1
        given[output.grad_fn] = names[layer]

    learned = [p for p in tried.parameters() if not p.requires_grad and p.is_floating_point()]
    with ExitStack() as undo, torch.enable_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for p in learned:  # what is not learned counts as a layer all the same
            undo.callback(p.requires_grad_, False)
            p.requires_grad_()
        for layer in names:
            undo.enter_context(layer.register_forward_hook(called))
        output = tried(x.clone().requires_grad_().clone())  # not a leaf, which could not be changed in place
    ends = _ends(output.grad_fn, given)
    name = next(iter(ends), None)
    return name if len(ends) == 1 and name and calls[name] == 1 else None


def _ends(node: Any, given: dict[Any, str]) -> set[str]:
    """Where the ways back from a node of the graph first come to: the linear layer that gave a node, or an empty text
    for a parameter or the input."""
    ends: set[str] = set()
    met: set[Any] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node is None or node in met:
            continue
        met.add(node)
        if node in given:
            ends.add(given[node])
        elif not node.next_functions:
            ends.add("")
        else:
            waiting += [earlier for earlier, _ in node.next_functions]
    return ends
