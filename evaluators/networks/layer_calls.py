"""Calls of a network's layers: inputs and outputs of each, and each as a function that can be tried by itself."""

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
"""Name prefix of a layer's inputs in a point; the other names are those of its parameters."""


@dataclass(eq=False)
class Call:
    """Call of a layer.

    As a function it maps a point, which is a value for each of the layer's parameters and floating-point inputs, to the
    floating-point outputs.

    Attributes:
        name: Name of the layer in the network; '' for the network itself.
        module: The layer.
        inputs: Copies of the positional arguments.
        keywords: Copies of the keyword arguments.
        output: Copy of the output.
        failed: Whether the call raised an error.
        changed: Whether the call changed its inputs in place.
    """

    name: str
    module: nn.Module
    inputs: tuple[Any, ...] = ()
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
        parameters = {name: p.detach() for name, p in self.module.named_parameters()}
        return parameters | {f"{INPUT}{i}": x.detach() for i, x in enumerate(self.inputs) if _is_float(x)}

    def __call__(self, point: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        # The clones are no leaves of the graph, so a layer may change its inputs in place.
        inputs = [point[f"{INPUT}{i}"].clone() if _is_float(x) else x for i, x in enumerate(self.inputs)]
        parameters = {name: value for name, value in point.items() if not name.startswith(INPUT)}
        return tuple(floats(functional_call(self.module, parameters, tuple(inputs), dict(self.keywords))))

    def gradient(
        self, *, create_graph: bool = False, seen: Callable[[Any, Sequence[Tensor | None]], None] | None = None
    ) -> list[Tensor]:
        """Gradients of the sum of the outputs, for the learned values of the point and those computed from them.

        Args:
            create_graph: Whether the gradients can be differentiated.
            seen: Called with each node of the graph that is a Python function, and the gradients that it passes on.

        Returns:
            The gradients, without those of values that the outputs do not depend on.
        """
        wanted = {name for name, p in self.module.named_parameters() if p.requires_grad}
        wanted |= {f"{INPUT}{i}" for i, x in enumerate(self.inputs) if _is_float(x) and x.requires_grad}
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
    """Calls of all layers while the network runs on x (examples, *input_shape).

    Args:
        network: The network.
        x: Its inputs.
        seen: Called with each call when it ends.

    Returns:
        The calls, each after those inside it, the network's own last. Where the network raises an error, the call that
        raised it is the first one that failed.
    """
    names = {module: name for name, module in network.named_modules()}
    running: list[tuple[Call, list[int]]] = []
    ended: list[Call] = []

    def begin(module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        running.append((Call(names[module], module, _copied(inputs), _copied(keywords)), _versions(inputs)))

    def end(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        call, versions = running.pop()
        call.output, call.failed, call.changed = _copied(output), output is None, versions != _versions(inputs)
        ended.append(call)
        seen(call)

    with ExitStack() as hooks:
        for module in names:
            hooks.enter_context(module.register_forward_pre_hook(begin, with_kwargs=True))
            hooks.enter_context(module.register_forward_hook(end, always_call=True))
        attempt(network, x)
    return ended


def first(network: nn.Module, x: Tensor, sign: Callable[[Call], bool]) -> Call | None:
    """The first call to end that `sign` is true of, while the network runs on x (examples, *input_shape).

    `sign` is evaluated when the call ends, so it can test what has happened until then.
    """
    matches: list[Call] = []

    def seen(call: Call) -> None:
        if not matches and sign(call):
            matches.append(call)

    calls_of(network, x, seen=seen)
    return matches[0] if matches else None


def graph(tensors: Sequence[Tensor]) -> Iterator[Any]:
    """All nodes of the autograd graph of some tensors."""
    visited: set[Any] = set()
    waiting: list[Any] = [tensor.grad_fn for tensor in tensors]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in visited:
            visited.add(node)
            waiting += [earlier for earlier, _ in node.next_functions]
            yield node


def floats(value: Any) -> list[Tensor]:
    """The floating-point tensors in a value: a tensor, or a list, tuple or mapping of such values."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in floats(part)]
    return [value] if _is_float(value) else []


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _versions(inputs: tuple[Any, ...]) -> list[int]:
    """The number of changes in place of each tensor."""
    return [tensor._version for tensor in floats(inputs)]


def _copied(value: Any) -> Any:
    """A copy without a graph, which requires a gradient where the original does."""
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copied(part) for part in value)
    return value.detach().clone().requires_grad_(value.requires_grad) if _is_float(value) else value
