"""Program of a network (torch.export): the operations of one run, with constant shapes except for the batch's size.

It has no conditions or loops on shapes, so it exists for networks that torch.fx cannot trace.
"""

from __future__ import annotations

import copy
import inspect
import io
import logging
import operator
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind

from ..errors import NasError
from ..failures import attempt, reason
from ..protocols.learners import LEARNER
from .trace import BATCH, TRIED, equal, outputs_and_gradients

NUMBERS = 256
"""Maximum numbers of a constant tensor that is written into a source."""
END = 2**63 - 1
"""Index that torch writes for the end of a dimension."""
OPERATORS: Mapping[str, Any] = {
    "aten.add.Tensor": operator.add,
    "aten.sub.Tensor": operator.sub,
    "aten.mul.Tensor": operator.mul,
    "aten.div.Tensor": operator.truediv,
}
"""Python's operators for the operations that have one."""
LIBRARY = (
    *(str(Path(file).parent) for file in (torch.__file__, __file__, traceback.__file__)),
    attempt.__code__.co_filename,
)
"""Folders and files whose lines are not reported as the network's own."""


def program(network: nn.Module, input_shape: tuple[int, ...]) -> ExportedProgram:
    """The network as a program of torch.export, on the CPU and without the learner's parameters.

    Its outputs and gradients are compared with the network's.

    Args:
        network: The network; it is not changed.
        input_shape: The shape of one input; the program takes (batch, *input_shape) with a batch of any size from 1.

    Raises:
        NasError: torch.export cannot make the program; the message names the line of the network's code.
    """
    network = copy.deepcopy(network).cpu().train()
    for name in [name for name, _ in network.named_parameters() if name.startswith(LEARNER)]:
        del network._parameters[name]
    x = torch.rand(BATCH, *input_shape, generator=torch.Generator().manual_seed(0))
    errors = []
    with _silence(), torch.random.fork_rng(devices=[]):
        # Strict is slower, but also follows calls whose result Python needs as an int, such as len(x).
        for strict in (False, True):
            shapes = _dynamic(network, {0: Dim("batch", min=1)})
            result = attempt(torch.export.export, network, (x,), dynamic_shapes=shapes, strict=strict)
            if result.error is None:
                _check_same(network, result.value, input_shape)
                return result.value
            errors.append(result.error)
    raise NasError(
        f"torch.export cannot follow its forward{_line(errors[0])}: {_first_sentence(errors[0])}"
    ) from errors[0]


def program_bytes(exported: ExportedProgram) -> bytes:
    """The content of a .pt2 file of the program, as torch.export.load reads it."""
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.export.save(exported, file)
    return file.getvalue()


def program_graph(exported: ExportedProgram, network: nn.Module) -> fx.Graph:
    """The graph of a program, with calls of torch's public functions and methods where there are any.

    Args:
        exported: The program.
        network: The network that it was made of, whose paths the graph's parameters and buffers have.

    Raises:
        NasError: The graph has a node that is no call of a function on tensors, such as a branch on values.
    """
    specs = {spec.arg.name: spec for spec in exported.graph_signature.input_specs}
    graph, nodes, constants = fx.Graph(), {}, {}
    for node in exported.graph.nodes:
        spec = specs.get(node.name) if node.op == "placeholder" else None
        if spec is not None and spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            nodes[node] = graph.create_node("get_attr", str(spec.target), name=node.name)
        elif spec is not None and spec.kind is InputKind.USER_INPUT:
            nodes[node] = graph.placeholder(node.name)
        elif spec is not None and spec.kind is InputKind.CONSTANT_TENSOR:
            constants[node] = exported.constants[str(spec.target)]
        elif node.op == "output":
            outputs = node.args[0]
            graph.output(nodes[outputs[0]] if len(outputs) == 1 else tuple(nodes[each] for each in outputs))
        elif node.op == "call_function":
            for constant in constants.keys() & set(node.all_input_nodes):
                nodes[constant] = _constant(graph, constants.pop(constant))
            args = fx.node.map_arg(node.args, nodes.__getitem__)
            kwargs = fx.node.map_arg(node.kwargs, nodes.__getitem__)
            same = _unchanged(node, args)
            nodes[node] = _called(graph, node, args, dict(kwargs)) if same is None else same
            if same is None:
                nodes[node].meta["nn_module_stack"] = _containers(node, network)
        else:
            raise NasError(f"its forward holds {node.name!r}, which cannot be written as source")
    return graph


def _dynamic(network: nn.Module, sizes: dict[int, Any]) -> Any:
    """The sizes of the only input that vary, in the form for a forward that names it or takes *args."""
    first = next(iter(inspect.signature(network.forward).parameters.values()))
    return ((sizes,),) if first.kind is first.VAR_POSITIONAL else (sizes,)


@contextmanager
def _silence() -> Iterator[None]:
    """Suppresses what torch.export logs, prints and warns of while it fails, since its error says the same."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _called(graph: fx.Graph, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> fx.Node:
    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload):
        if getattr(target, "__module__", None) != "_operator":
            raise NasError(f"its forward holds {target}, which cannot be written as source")
        return graph.call_function(target, args, kwargs)
    if target.namespace != "aten":
        raise NasError(f"its forward calls {target}, which is not a function of torch")
    name = target._schema.name.removeprefix("aten::")
    if name == "sym_size":
        return graph.call_method("size", args)
    if name in ("select", "slice") and args[1] >= 0:
        index = (*[slice(None)] * args[1], _part(name, args[2:]))
        return graph.call_function(operator.getitem, (args[0], index if args[1] else index[0]))
    if str(target) in OPERATORS and not kwargs:
        return graph.call_function(OPERATORS[str(target)], args)
    if "device" in kwargs:
        kwargs["device"] = _device(graph)
    kwargs = {key: value for key, value in kwargs.items() if key not in ("pin_memory", "layout")}
    for namespace in (torch.nn.functional, torch):
        function = getattr(namespace, name, None)
        if function is not None and not name.startswith("_") and isinstance(function, type(torch.relu)):
            return graph.call_function(function, args, kwargs)
    if hasattr(torch.Tensor, name) and args and isinstance(args[0], fx.Node) and not name.startswith("_"):
        if not callable(getattr(torch.Tensor, name)):  # a property, such as `mT`
            return graph.call_function(getattr, (args[0], name))
        return graph.call_method(name, args, kwargs)
    return graph.call_function(target, args, kwargs)


def _constant(graph: fx.Graph, value: torch.Tensor) -> fx.Node:
    if value.numel() > NUMBERS or value.dtype not in (torch.float32, torch.int64, torch.bool):
        raise NasError(f"its forward uses a tensor of {value.numel()} numbers that is no buffer; use register_buffer")
    return graph.call_function(torch.tensor, (value.tolist(),), {"device": _device(graph)})


def _device(graph: fx.Graph) -> fx.Node:
    """The device of the input, where constants are created, instead of that of the run that was exported."""
    start = next(each for each in graph.nodes if each.op == "placeholder")
    return graph.call_function(getattr, (start, "device"))


def _part(name: str, args: tuple[Any, ...]) -> Any:
    """The index of one dimension that `select` or `slice` takes."""
    if name == "select":
        return args[0]
    named = dict(zip(("start", "end", "step"), args, strict=False))
    start, end, step = named.get("start"), named.get("end"), named.get("step", 1)
    return slice(start or None, None if end == END else end, None if step == 1 else step)


def _containers(node: fx.Node, network: nn.Module) -> dict[str, tuple[str, Any]]:
    """The modules around a call that have modules inside them, in torch.fx's form."""
    stack = (node.meta.get("nn_module_stack") or {}).items()
    modules = dict(network.named_modules(remove_duplicate=False))
    return {key: (path, kind) for key, (path, kind) in stack if path in modules and any(modules[path].children())}


def _unchanged(node: fx.Node, args: tuple[Any, ...]) -> Any:
    """The first argument, where the call returns it unchanged; else None."""
    target, raw = str(node.target), node.args
    whole = target == "aten.slice.Tensor" and raw[2:] in ((0, END), (0, END, 1))
    drops_nothing = target == "aten.dropout.default" and (raw[1] == 0 or not raw[2])
    return args[0] if whole or drops_nothing else None


def _check_same(network: nn.Module, exported: ExportedProgram, input_shape: tuple[int, ...]) -> None:
    run = exported.module()
    for training in (True, False):
        network.train(training)
        for size in TRIED:
            x = torch.rand(size, *input_shape, generator=torch.Generator().manual_seed(size))
            expected = attempt(outputs_and_gradients, network, x, network)
            if expected.error is not None:  # as for a batch of one example in a layer that normalises batches
                continue
            result = attempt(outputs_and_gradients, run, x, run)
            error = result.error
            if error is not None or not equal(result.value, expected.value):
                mode = "training" if training else "evaluation"
                what = "gives other outputs or gradients" if error is None else f"fails ({_first_sentence(error)})"
                raise NasError(f"the program that torch.export makes of it {what} for {size} inputs in {mode}")


def _line(error: BaseException) -> str:
    """' at my_space.py:12': the innermost line outside torch that an error passed; empty where there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    user_frames = [frame for frame in frames if not frame.filename.startswith((*LIBRARY, "<"))]
    return f" at {Path(user_frames[-1].filename).name}:{user_frames[-1].lineno}" if user_frames else ""


def _first_sentence(error: BaseException) -> str:
    """The first sentence of an error, since torch.export's errors are pages long."""
    return reason(error).split("\n")[0].split(". ")[0].split(" (unhinted")[0][:200].rstrip(".")
