"""A network's layers at work: what each was given and gave, and each as a function of its own, to try by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.failures import attempt

INPUT = "input:"
"""What the names in a point begin with of numbers that a layer was given; the others are its parameters'."""


@dataclass(eq=False)
class Call:
    """One call of a layer: copies of what it was given and gave, and whether it raised or changed what it was given.

    As a function it maps a point, values for the layer's parameters and for the numbers that it was given, to the
    numbers that it gives.
    """

    name: str
    module: nn.Module
    given: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None
    failed: bool = False
    changed: bool = False

    def __str__(self) -> str:
        kind = type(self.module).__name__
        return f"layer {self.name!r} ({kind})" if self.name else f"the network's own forward ({kind})"

    @property
    def point(self) -> dict[str, Tensor]:
        """The point of this call."""
        own = {name: p.detach() for name, p in self.module.named_parameters()}
        return own | {f"{INPUT}{i}": x.detach() for i, x in enumerate(self.given) if _is_float(x)}

    def __call__(self, point: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        # Cloned, for a layer may change what it is given in place, if that is no leaf of the graph.
        given = [point[f"{INPUT}{i}"].clone() if _is_float(x) else x for i, x in enumerate(self.given)]
        own = {name: value for name, value in point.items() if not name.startswith(INPUT)}
        return tuple(floats(functional_call(self.module, own, tuple(given), dict(self.keywords))))

    def gradient(
        self, *, create_graph: bool = False, seen: Callable[[Any, Sequence[Tensor | None]], None] | None = None
    ) -> list[Tensor]:
        """Of the sum of what it gives, for what is learned in the point or was computed from that.

        `seen` is shown each node of the graph that is a Python function, with the gradients that it passed on.
        """
        wanted = {name for name, p in self.module.named_parameters() if p.requires_grad}
        wanted |= {f"{INPUT}{i}" for i, x in enumerate(self.given) if _is_float(x) and x.requires_grad}
        leaves = {name: value.clone().requires_grad_(name in wanted) for name, value in self.point.items()}
        ends = [output for output in self(leaves) if output.requires_grad]
        starts = [leaf for leaf in leaves.values() if leaf.requires_grad]
        if not ends or not starts:
            return []
        with ExitStack() as hooks:
            for node in graph(ends) if seen else ():
                if seen and isinstance(node, torch.autograd.function.BackwardCFunction):
                    hooks.enter_context(node.register_hook(lambda passed, _, node=node: seen(node, passed)))
            ones = [torch.ones_like(end, requires_grad=create_graph) for end in ends]
            gradients = torch.autograd.grad(ends, starts, ones, create_graph=create_graph, allow_unused=True)
        return [g for g in gradients if g is not None]


def calls_of(network: nn.Module, x: Tensor, *, seen: Callable[[Call], None] = lambda call: None) -> list[Call]:
    """The calls of all layers while the network runs on x, each after those inside it, the network's own last.

    `seen` is shown each as it ends. Where the network raises, the call that raised is the first that failed.
    """
    names = {module: name for name, module in network.named_modules()}
    running: list[tuple[Call, list[int]]] = []
    ended: list[Call] = []

    def begins(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        running.append((Call(names[module], module, _copied(given), _copied(keywords)), _versions(given)))

    def ends(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        call, versions = running.pop()
        call.output, call.failed, call.changed = _copied(output), output is None, versions != _versions(given)
        ended.append(call)
        seen(call)

    with ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_pre_hook(begins, with_kwargs=True))
            hooks.enter_context(module.register_forward_hook(ends, always_call=True))
        attempt(network, x)
    return ended


def first(network: nn.Module, x: Tensor, sign: Callable[[Call], bool]) -> Call | None:
    """The first call to end with a sign, looked for as each ends."""
    found: list[Call] = []

    def seen(call: Call) -> None:
        if not found and sign(call):
            found.append(call)

    calls_of(network, x, seen=seen)
    return found[0] if found else None


def graph(tensors: Sequence[Tensor]) -> Iterator[Any]:
    """All nodes of the graph that tensors were computed by."""
    met: set[Any] = set()
    waiting: list[Any] = [tensor.grad_fn for tensor in tensors]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in met:
            met.add(node)
            waiting += [earlier for earlier, _ in node.next_functions]
            yield node


def floats(value: Any) -> list[Tensor]:
    """The tensors of floating-point numbers in a tensor, or in a list, tuple or mapping of such."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in floats(part)]
    return [value] if _is_float(value) else []


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _versions(given: tuple[Any, ...]) -> list[int]:
    return [tensor._version for tensor in floats(given)]


def _copied(value: Any) -> Any:
    """A copy without a graph, which wants a gradient where the original does."""
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copied(part) for part in value)
    return value.detach().clone().requires_grad_(value.requires_grad) if _is_float(value) else value
