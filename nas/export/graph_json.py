"""A network's forward as JSON values: its layers, its tensors and its calls in order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import fx, nn

from ..errors import NasError
from .expressions import Training
from .graph_tables import ATTRIBUTES, DTYPES, LAYERS, METHODS, function_key
from .layers import constructor_arguments
from .naming import named_tensors
from .python_source import Source

FORMAT = 1
"""Version of network.json."""


def encode(network: nn.Module, graph: fx.Graph, source: Source) -> dict[str, Any]:
    """The content of network.json.

    Args:
        network: The network that has the graph's layers and tensors.
        graph: Its forward.
        source: Its source, whose names of layers and tensors are taken.

    Raises:
        NasError: The forward has a layer, call or value that is not in `graph_tables`; the message names it.
    """
    layers: dict[str, Any] = {}
    names = {path: name for name, path in source.weights.items()}
    tensors: dict[str, Any] = {}
    ids: dict[fx.Node, str] = {}
    calls: list[dict[str, Any]] = []
    parameters, all_tensors = dict(network.named_parameters(remove_duplicate=False)), named_tensors(network)
    for node in graph.nodes:
        if node.op == "output":
            output = _value(node.args[0], ids)
            continue
        ids[node] = f"v{len(ids)}"
        target, path = str(node.target), str(node.target)
        if node.op == "placeholder":
            calls.append({"id": ids[node], "op": "input", "default": [_value(value, ids) for value in node.args]})
            continue
        if node.op == "call_module":
            target = source.names[path]
            layers[target] = _layer(network.get_submodule(path), path)
        elif node.op == "get_attr":
            target = names[path]
            if "." not in target:  # else it is a tensor of a layer
                tensors[target] = _tensor(all_tensors[path], path in parameters)
        elif node.op == "call_function":
            target = _function(node)
        elif target not in METHODS:
            raise NasError(f"the forward calls the method {target!r}, which network.json cannot name")
        call = {"id": ids[node], "op": node.op, "target": target}
        arguments = [_value(value, ids) for value in node.args]
        keywords = {key: _value(value, ids) for key, value in node.kwargs.items()}
        calls.append(call | ({"args": arguments} if arguments else {}) | ({"kwargs": keywords} if keywords else {}))
    ties = _ties(parameters, source.weights)
    return {"format": FORMAT, "layers": layers, "tensors": tensors, "ties": ties, "calls": calls, "output": output}


def _ties(parameters: Mapping[str, nn.Parameter], weights: Mapping[str, str]) -> dict[str, str]:
    """The first name of each parameter that has several, by the others."""
    first: dict[int, str] = {}
    owners = {
        name: first.setdefault(id(parameters[path]), name) for name, path in weights.items() if path in parameters
    }
    return {name: owner for name, owner in owners.items() if owner != name}


def _layer(layer: nn.Module, path: str) -> dict[str, Any]:
    name = type(layer).__name__
    if LAYERS.get(name) is not type(layer):
        raise NasError(f"layer {path!r} is a {type(layer).__module__}.{name}, which network.json cannot name")
    required, optional = constructor_arguments(layer, path)
    keywords = {key: _value(value, {}) for key, value in optional.items()}
    arguments = [_value(value, {}) for value in required]
    return {"type": name} | ({"args": arguments} if arguments else {}) | ({"kwargs": keywords} if keywords else {})


def _tensor(tensor: torch.Tensor, parameter: bool) -> dict[str, Any]:
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise NasError(f"a tensor of the network is {tensor.dtype}, which network.json cannot name")
    return {"shape": list(tensor.shape), "dtype": dtype, "parameter": parameter}


def _function(node: fx.Node) -> str:
    target: Any = node.target
    if target is getattr and str(node.args[1]) in ATTRIBUTES:
        return "getattr"
    key = function_key(target)
    if key is None:
        raise NasError(f"the forward calls {getattr(target, '__name__', target)!s}, which network.json cannot name")
    return key


def _value(value: Any, ids: Mapping[fx.Node, str]) -> Any:
    """A value as JSON. Lists, numbers, texts and None are themselves, others objects with one key."""
    if isinstance(value, fx.Node):
        return {"ref": ids[value]}
    if isinstance(value, Training):
        return {"training": True}
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    if type(value) is float:
        return {"float": str(value)}
    if isinstance(value, list):
        return [_value(item, ids) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_value(item, ids) for item in value]}
    if isinstance(value, slice):
        return {"slice": [_value(item, ids) for item in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, torch.dtype) and str(value).removeprefix("torch.") in DTYPES:
        return {"dtype": str(value).removeprefix("torch.")}
    raise NasError(f"the forward has a value of type {type(value).__name__}, which network.json cannot hold")
