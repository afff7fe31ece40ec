"""Graph of the calls in a network's forward (torch.fx), without those that have no effect."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from ..errors import NasError
from .expressions import Training, mutates

REMEDY = (
    "its forward must be a fixed sequence of torch.nn layers and torch functions, "
    "without branches or loops that depend on a tensor's values or sizes"
)
FAILURES = (TypeError, ValueError, RuntimeError, AttributeError, NameError, LookupError)
"""Errors that tracing or running a forward may raise."""
BATCH = 4
"""Size of the batch that a forward is run on."""
TRIED = (1, 2, 7)
"""Sizes of the batches on which a program is compared with its network."""


class _Tracer(fx.Tracer):
    """Tracer that knows the path of the module that it is in, for error messages."""

    proxy_buffer_attributes = True

    def __init__(self) -> None:
        super().__init__()
        self.where = ""

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        outer, self.where = self.where, self.path_of_module(m)
        result = super().call_module(m, forward, args, kwargs)
        self.where = outer
        return result


def trace(network: nn.Module, input_shape: tuple[int, ...]) -> tuple[nn.Module, fx.Graph]:
    """Traces a network's forward.

    The graph is run once on random inputs of shape (4, *input_shape) and compared with the network, because tracing
    does not record everything, such as `a += b` on a tensor.

    Args:
        network: The network; it is not changed.
        input_shape: The shape of one input.

    Returns:
        A copy of the network on the CPU, and the graph without calls whose value nothing uses. An argument that differs
        between training and evaluation is `Training`.

    Raises:
        NasError: The forward cannot be traced, or the graph gives other outputs; the message names the layer.
    """
    # A copy, because tracing may set attributes of the network.
    network = copy.deepcopy(network).cpu()
    training = _traced(network.train())
    graph = _traced(network.eval())
    check_same(network, graph, input_shape, BATCH)
    _mark_training(training, graph)
    prune(network, graph)
    return network, graph


def _traced(network: nn.Module) -> fx.Graph:
    tracer = _Tracer()
    try:
        graph = tracer.trace(network)
    except FAILURES as error:
        place = f"layer {tracer.where!r}" if tracer.where else "the network"
        kind = type(network.get_submodule(tracer.where)).__name__
        raise NasError(f"{place} ({kind}) cannot be exported: {_first_line(error)}; {REMEDY}") from error
    for node in graph.nodes:
        if node.op == "placeholder" and str(node.target).startswith("*"):
            raise NasError(f"the network's forward takes {node.target}; name each input to export it")
        if node.op == "get_attr" and str(node.target).startswith("_tensor_constant"):
            raise NasError(
                "the forward makes a constant tensor, which has no name to export it by; "
                "make it in __init__ with register_buffer"
            )
    return graph


def check_same(network: nn.Module, graph: fx.Graph, input_shape: tuple[int, ...], size: int) -> None:
    """Raises NasError where the graph gives other outputs or gradients than the network for `size` random inputs."""
    x = torch.rand(size, *input_shape, generator=torch.Generator().manual_seed(0))
    results = []
    for traced in (False, True):
        alone = copy.deepcopy(network)
        # Interpreted, because fx.GraphModule executes a text that has the layers' names in it.
        run: Callable[[torch.Tensor], Any] = fx.Interpreter(alone, graph=graph).run if traced else alone
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                results.append(outputs_and_gradients(run, x.clone(), alone))
            except FAILURES as error:
                reason = f"inputs of shape {tuple(x.shape)}: {_first_line(error)}"
                raise NasError(f"the network does not run on {reason}") from error
    if not equal(*results):
        raise NasError(
            "the network does something that tracing does not see, such as `a += b` on a tensor or torch.no_grad(); "
            + REMEDY
        )


def outputs_and_gradients(run: Callable[[torch.Tensor], Any], x: torch.Tensor, network: nn.Module) -> tuple[Any, Any]:
    """The output of a forward for x and, where it is a tensor, the gradients of the sum of its squares by the names of
    the network's parameters."""
    with torch.enable_grad():
        output = run(x)
        if not isinstance(output, torch.Tensor) or not output.requires_grad:
            return output, {}
        learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
        gradients = torch.autograd.grad(output.square().sum(), list(learned.values()), materialize_grads=True)
    return output.detach(), dict(zip(learned, gradients, strict=True))


def equal(one: Any, other: Any) -> bool:
    """Whether two values, or tuples, lists or mappings of values, are equal up to rounding."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        largest = float(other.abs().max().nan_to_num()) if other.numel() and other.is_floating_point() else 1.0
        return torch.allclose(one, other, rtol=1e-5, atol=1e-6 * max(1.0, largest), equal_nan=True)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    return bool(one == other)


def _mark_training(training: fx.Graph, evaluation: fx.Graph) -> None:
    """Puts Training into the evaluation graph where the training graph has True and it has False."""
    if [(node.op, node.target) for node in training.nodes] != [(node.op, node.target) for node in evaluation.nodes]:
        raise NasError(f"the network takes other steps in training than in evaluation; {REMEDY}")
    for one, other in zip(training.nodes, evaluation.nodes, strict=True):
        other.args = tuple(map(_merged, one.args, other.args))
        other.kwargs = {key: _merged(one.kwargs[key], value) for key, value in other.kwargs.items()}


def _merged(training: Any, evaluation: Any) -> Any:
    if training is True and evaluation is False:
        return Training()
    # Nodes of two graphs are never equal, but they have the same text where they have the same position.
    if repr(training) != repr(evaluation):
        raise NasError(f"the network uses {training!r} in training but {evaluation!r} in evaluation; {REMEDY}")
    return evaluation


def prune(network: nn.Module, graph: fx.Graph) -> None:
    """Drops calls whose value nothing uses. fx's own elimination would also drop changes in place."""
    for node in reversed(graph.nodes):
        if node.users or node.op in ("placeholder", "output"):
            continue
        module = network.get_submodule(str(node.target)) if node.op == "call_module" else None
        if not mutates(node, module):
            graph.erase_node(node)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
