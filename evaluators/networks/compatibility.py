"""Checks before training that a network suits the tasks and the learner, with the name of the layer at fault.

A sound network only runs a few times on two examples. The layers of a network that fails are tried one at a time,
innermost first, on the inputs that they were called with.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap

from nas.errors import NasError, SpaceError
from nas.failures import attempt
from nas.networks.batch_order import EXAMPLES, find_fault

from .attention import twice_differentiable
from .layer_calls import Call, calls_of, first, floats, graph
from .normalisation import BATCH_LAYERS

UNDIFFERENTIABLE = {"torch::autograd::NotImplemented", "torch::autograd::Error"}
"""Nodes that torch puts into the graph of a gradient where a further derivative would fail."""


def check_forward(network: nn.Module, x: Tensor, outputs: int, space: str) -> None:
    """Checks the outputs of a network.

    Args:
        network: The network.
        x: Inputs (2, *input_shape).
        outputs: Number of outputs of the tasks.
        space: Name of the network's space, for the messages.

    Raises:
        SpaceError: The outputs are not (2, outputs) finite numbers, the network changes x or its own state, or the
            output for an example depends on other examples or on its place (`nas.networks.batch_order`).
    """
    what = f"a network of space {space!r}"
    _check_sizes_known(network, what)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        inputs, before = x.clone(), _state(network)
        output = attempt(network, inputs)
        if isinstance(output.error, NasError):
            raise output.error
        if output.error is not None:
            raise SpaceError(
                f"{what} does not take this task's inputs {tuple(x.shape[1:])}: {_line(output.error)} "
                f"(in {_named(first(network, x.clone(), lambda call: call.failed))})"
            ) from output.error
        _check_unchanged(network, before, what)
        if inputs._version:
            inputs = x.clone()
            layer = _named(first(network, inputs, lambda call: call.changed and inputs._version > 0))
            raise SpaceError(f"{what} changes its inputs in place, in {layer}; use inplace=False there, or a clone")
        _check_output(network, x, output.value, outputs, what)
    fault = attempt(find_fault, network, x, batch_layers=BATCH_LAYERS)
    if fault.error is not None:
        text = _line(fault.error)
        raise SpaceError(f"{what} takes {len(x)} examples, but fails on {EXAMPLES}: {text}") from fault.error
    if fault.value is not None:
        raise SpaceError(f"{what} {fault.value}")


def check_gradient(network: nn.Module, x: Tensor, *, batched: bool, twice: bool) -> None:
    """Checks that a learner can differentiate a network.

    Args:
        network: The network.
        x: Inputs (examples, *input_shape).
        batched: Whether the learner runs many tasks at once, each with weights of its own, under torch.func.vmap.
        twice: Whether the learner differentiates gradients.

    Raises:
        SpaceError: One of these fails; the message names the first layer at fault.
    """
    batch = [_batched] if batched else []
    with warnings.catch_warnings(action="ignore"):  # torch warns of slow operations, and does so again in training.
        for need in (_differentiated_twice if twice else _differentiated, *batch):
            error = attempt(need, Call("", network, (x,))).error
            if error is not None:
                layer = _blame(network, x, [_differentiated, *batch, *([_differentiated_twice] if twice else [])])
                raise SpaceError(layer or f"the network {REMEDIES[need]}: {_line(error)}") from error


# --- one run ---------------------------------------------------------------------------------------------------------


def _check_sizes_known(network: nn.Module, what: str) -> None:
    for name, p in network.named_parameters():
        if isinstance(p, nn.UninitializedParameter):
            raise SpaceError(f"{what} takes the size of {_owner(network, name)} from its first input; give it instead")


def _state(network: nn.Module) -> dict[str, tuple[Tensor, int]]:
    """Copies of parameters and buffers by name, each with the number of its changes in place."""
    tensors = (*network.named_parameters(), *network.named_buffers())
    return {name: (tensor.clone(), tensor._version) for name, tensor in tensors}


def _check_unchanged(network: nn.Module, before: dict[str, tuple[Tensor, int]], what: str) -> None:
    for name, (tensor, version) in _state(network).items():
        if name not in before or before[name][1] != version or not _equal(tensor, before[name][0]):
            raise SpaceError(
                f"{what} changes its own {name!r} when it runs, in {_owner(network, name)}; a network must not keep "
                f"statistics of its inputs, which would mix the tasks"
            )


def _owner(network: nn.Module, name: str) -> Call:
    path = name.rpartition(".")[0]
    return Call(path, network.get_submodule(path))


def _check_output(network: nn.Module, x: Tensor, output: Any, outputs: int, what: str) -> None:
    if not isinstance(output, Tensor) or not output.is_floating_point():
        kind = f"{output.dtype} numbers" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise SpaceError(f"{what} gives {kind}; it must give one tensor of floating-point numbers. {_end(network, x)}")
    if tuple(output.shape) != (len(x), outputs):
        raise SpaceError(
            f"{what} gives {tuple(output.shape)} for {len(x)} inputs of {tuple(x.shape[1:])}; this task needs "
            f"{(len(x), outputs)}. {_end(network, x)}"
        )
    if not bool(output.isfinite().all()):
        layer = _named(first(network, x, lambda call: not all(bool(t.isfinite().all()) for t in floats(call.output))))
        raise SpaceError(f"{what} gives numbers that are not finite for inputs between 0 and 1, first in {layer}")


def _end(network: nn.Module, x: Tensor) -> str:
    leaves = [call for call in calls_of(network, x) if not any(call.module.children())]
    call = leaves[-1] if leaves else Call("", network)
    sizes = " and ".join(str(tuple(t.shape)) for t in floats(call.output))
    return f"It ends with {call}" + (f", which gives {sizes}" if sizes else "")


def _named(call: Call | None) -> str:
    return str(call) if call else "its own forward"


def _equal(one: Tensor, other: Tensor) -> bool:
    if torch.equal(one, other) or one.shape != other.shape or not one.is_floating_point():
        return torch.equal(one, other)
    return torch.allclose(one, other, equal_nan=True)


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# --- gradients -------------------------------------------------------------------------------------------------------


def _differentiated(call: Call) -> None:
    call.gradient()


def _batched(call: Call) -> None:
    point = {name: torch.stack([value, value]) for name, value in call.point.items()}
    # vjp also refuses operations that are recomputed in the backward pass, which takes place outside vmap.
    vjp(vmap(call), point)


def _differentiated_twice(call: Call) -> None:
    """Raises RuntimeError where a gradient has no graph of its own.

    torch raises no error where the backward of a torch.autograd.Function is declared differentiable once, or computed
    without a graph; second derivatives then silently lack terms.
    """
    ends: list[str] = []

    def seen(node: Any, gradients: Sequence[Tensor | None]) -> None:
        passed = [g for g in gradients if g is not None and bool(g.any())]
        if any(g.grad_fn is None or g.grad_fn.name() in UNDIFFERENTIABLE for g in passed):
            ends.append(node.name().removesuffix("Backward"))

    with twice_differentiable():
        gradients = call.gradient(create_graph=True, seen=seen)
    ends += ["an operation of torch" for node in graph(gradients) if node.name() in UNDIFFERENTIABLE]
    if ends:
        raise RuntimeError(f"the gradient of {ends[0]} has no gradient itself")


Need = Callable[[Call], None]
REMEDIES: dict[Need, str] = {
    _differentiated: "cannot be differentiated",
    _batched: "cannot run on many tasks at once, each with weights of its own (torch.func.vmap); leave out what "
    "depends on values, like `if`, .item() and boolean masks, and writing into a tensor that is not made from the "
    "input",
    _differentiated_twice: "cannot be differentiated twice, as this learner does; take a learner of first order",
}

RECURRENT = (
    "cannot run on many tasks at once, each with weights of its own, as torch.func.vmap has no rule for it: take a "
    "learner that leaves the body's weights alone (anil, protonet, ridge, finetune), or write the recurrence as a loop "
    "over time with a cell such as nn.GRUCell"
)


def _blame(network: nn.Module, x: Tensor, needs: Sequence[Need]) -> str | None:
    """The fault of the first layer that fails the first need which any layer fails; None where no layer fails alone."""
    calls = calls_of(network, x)
    for need in needs:
        for call in calls:
            error = attempt(need, call).error
            if error is not None and "inplace operation" in str(error):
                return (
                    f"{_in_place(call, calls)} changes in place what the gradient of another needs; use inplace=False "
                    f"there, or an operation that gives a new tensor"
                )
            if error is not None:
                recurrent = need is _batched and isinstance(call.module, nn.RNNBase)
                return f"{call} {RECURRENT if recurrent else f'{REMEDIES[need]}: {_line(error)}'}"
    return None


def _in_place(call: Call, calls: Sequence[Call]) -> Call:
    """The first layer inside `call` whose change of its input in place is alone enough to make the gradient fail."""
    inside = [other for other in calls if other.changed and other.module in set(call.module.modules())]
    inside = [a for a in inside if not any(b.module in set(a.module.children()) for b in inside)]
    for suspect in inside:
        with ExitStack() as hooks:
            for other in inside:
                if other.module is not suspect.module:
                    hooks.enter_context(other.module.register_forward_pre_hook(_cloned))
            if attempt(_differentiated, call).error is not None:
                return suspect
    return call


def _cloned(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.clone() if isinstance(value, Tensor) else value for value in inputs)
