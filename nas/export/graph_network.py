"""A network that is built from network.json and runs the calls listed there; nothing in the file is executed."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from ..errors import DataError, shown
from ..failures import attempt, reason
from .graph_json import FORMAT
from .graph_tables import ATTRIBUTES, DTYPES, FUNCTIONS, LAYERS, METHODS

OPERATIONS: Final = ("input", "call_module", "call_function", "call_method", "get_attr")
MOST_CALLS: Final = 100_000
MOST_DEPTH: Final = 20
MOST_NUMBERS: Final = 2**31
"""Maximum of the calls of a network, of the depth of an argument, and of the numbers in all of its tensors."""
LARGEST_INTEGER: Final = 2**63
LARGEST_EXPONENT: Final = 64
LONGEST_SEQUENCE: Final = 1000
"""Bounds of what operators of Python are given; sizes of tensors, which they are for, are far smaller."""


class GraphNetwork(nn.Module):
    """The network of an export. Its layers and tensors have the names that they have in model.py."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        """Makes the layers on the meta device, without memory; `build` gives them their weights.

        Raises:
            DataError: An entry is not as `graph_json.encode` writes it; the message names it.
        """
        super().__init__()
        self._calls = _checked_calls(content)
        self._output = content.get("output")
        for name, entry in _entries(content, "layers"):
            self.add_module(name, _layer(name, entry))
        for name, entry in _entries(content, "tensors"):
            tensor = _tensor(name, entry)
            if entry.get("parameter") is True:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)
        _check_references(self)

    def forward(self, *inputs: Tensor) -> Any:
        values: dict[str, Any] = {}
        waiting = list(inputs)
        for call in self._calls:
            values[call["id"]] = self._called(call, values, waiting)
        return _decoded(self._output, values, self.training)

    def _called(self, call: Mapping[str, Any], values: Mapping[str, Any], waiting: list[Tensor]) -> Any:
        op, target = call["op"], call.get("target", "")
        if op == "input":
            return waiting.pop(0) if waiting else _decoded(call["default"][0], values, self.training)
        if op == "get_attr":
            return self._tensor_at(target)
        arguments = [_decoded(value, values, self.training) for value in call.get("args", ())]
        keywords = {key: _decoded(value, values, self.training) for key, value in call.get("kwargs", {}).items()}
        if op == "call_module":
            return self.get_submodule(target)(*arguments, **keywords)
        if op == "call_method":
            return getattr(arguments[0], target)(*arguments[1:], **keywords)
        if target == "getattr":
            return getattr(*arguments)
        if target.startswith("operator."):
            _check_operands(target, arguments)
        return FUNCTIONS[target](*arguments, **keywords)

    def _tensor_at(self, name: str) -> Any:
        layer, _, last = name.rpartition(".")
        return getattr(self.get_submodule(layer), last)


def build(content: object, weights: Mapping[str, Tensor]) -> GraphNetwork:
    """The network of network.json with its weights.

    Args:
        content: The JSON value.
        weights: Tensors by name, as weights.safetensors has them.

    Raises:
        DataError: The content or the weights are not those of one network; the message names the entry.
    """
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise DataError(f"it is not of format {FORMAT}, the one that this version reads")
    network = GraphNetwork(content)
    numbers = sum(tensor.numel() for tensor in network.state_dict().values())
    if numbers > MOST_NUMBERS:
        raise DataError(f"its tensors have {numbers:,} numbers; the limit is {MOST_NUMBERS:,}")
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in weights.items()}:
        odd = [name for name, tensor in weights.items() if shapes.get(name) != tensor.shape]
        raise DataError(f"tensor {sorted(odd or shapes.keys() - weights.keys())[0]!r} is not the one of the weights")
    network.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
    for name, owner in _object(content.get("ties", {}), "ties").items():
        layer, _, last = str(name).rpartition(".")
        if name not in weights or not _in(owner, weights) or weights[name].shape != weights[owner].shape:
            raise DataError(f"ties: {name!r} and {owner!r} are not two names of one tensor")
        setattr(network.get_submodule(layer), last, network._tensor_at(owner))
    for name, buffer in list(network.named_buffers()):
        if buffer.is_meta:  # one that is not part of the state, which a layer makes itself
            raise DataError(f"buffer {name!r} has no weights")
    return network


def _entries(content: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    entries = content.get(key)
    if not isinstance(entries, Mapping) or not all(isinstance(entry, Mapping) for entry in entries.values()):
        raise DataError(f"{key!r} must be an object of objects")
    for name in entries:
        if not str(name).isidentifier() or str(name).startswith("_") or hasattr(GraphNetwork, str(name)):
            raise DataError(f"{key}: {name!r} is no name of a layer or tensor")
    return list(entries.items())


def _layer(name: str, entry: Mapping[str, Any]) -> nn.Module:
    kind = str(entry.get("type"))
    if kind not in LAYERS:
        raise DataError(f"layer {name!r} is a {kind!r}, which is not among the layers that a file may name")
    arguments = [_constant(value) for value in _list(entry.get("args", []), name)]
    keywords = {str(key): _constant(value) for key, value in _object(entry.get("kwargs", {}), name).items()}
    with torch.device("meta"):
        layer = attempt(LAYERS[kind], *arguments, **keywords)
    if layer.error is not None:
        raise DataError(f"layer {name!r} ({kind}) cannot be made: {reason(layer.error)}")
    return layer.value


def _tensor(name: str, entry: Mapping[str, Any]) -> Tensor:
    shape, dtype = entry.get("shape"), str(entry.get("dtype"))
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < MOST_NUMBERS for n in shape):
        raise DataError(f"tensor {name!r} has the shape {shape!r}")
    if dtype not in DTYPES:
        raise DataError(f"tensor {name!r} is of type {dtype!r}")
    tensor = attempt(torch.empty, shape, dtype=DTYPES[dtype], device="meta")
    if tensor.error is not None:
        raise DataError(f"tensor {name!r} has the shape {shape!r}: {reason(tensor.error)}")
    return tensor.value


def _checked_calls(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The calls, each of which refers to earlier ones only."""
    calls = _list(content.get("calls"), "calls")
    if len(calls) > MOST_CALLS:
        raise DataError(f"it has {len(calls):,} calls; the limit is {MOST_CALLS:,}")
    known: set[str] = set()
    for number, call in enumerate(calls):
        where = f"call {number}"
        entry = _object(call, where)
        op, target, identity = entry.get("op"), entry.get("target", ""), entry.get("id")
        if not isinstance(identity, str) or identity in known:
            raise DataError(f"{where} has the id {identity!r}, which must be a new text")
        if op not in ("input", "call_module", "call_function", "call_method", "get_attr") or not isinstance(
            target, str
        ):
            raise DataError(f"{where} is a {op!r} of {target!r}")
        arguments = _list(entry.get("default" if op == "input" else "args", []), where)
        values = [*arguments, *_object(entry.get("kwargs", {}), where).values()]
        _check_values(values, known, where, 0)
        _check_target(op, target, arguments, where)
        known.add(identity)
    _check_values([content.get("output")], known, "output", 0)
    return calls


def _check_target(op: str, target: str, arguments: list[Any], where: str) -> None:
    if op == "call_method" and (target not in METHODS or not arguments):
        raise DataError(f"{where} is the method {target!r}, which is not among those that a file may name")
    if op == "call_function" and target == "getattr":
        if len(arguments) != 2 or not _in(arguments[1], ATTRIBUTES) or not isinstance(arguments[0], Mapping):
            raise DataError(f"{where} reads an attribute that is not among those that a file may name")
    elif op == "call_function" and target not in FUNCTIONS:
        raise DataError(f"{where} is the function {target!r}, which is not among those that a file may name")


def _check_references(network: GraphNetwork) -> None:
    layers = set(network._modules)
    tensors = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    for number, call in enumerate(network._calls):
        op, target = call["op"], call.get("target")
        if (op == "call_module" and target not in layers) or (op == "get_attr" and target not in tensors):
            raise DataError(f"call {number} uses {target!r}, which is not listed")


def _check_values(value: Any, known: set[str], where: str, depth: int) -> None:
    """Raises DataError where an argument is none of `graph_json`, or refers to a call that is not before it."""
    if depth > MOST_DEPTH:
        raise DataError(f"{where} has an argument that is nested more than {MOST_DEPTH} deep")
    if isinstance(value, list):
        for item in value:
            _check_values(item, known, where, depth + 1)
    elif isinstance(value, Mapping):
        if len(value) != 1:
            raise DataError(f"{where} has the argument {value!r}, which is none")
        (kind, inner), *_ = value.items()
        if kind == "ref" and not _in(inner, known):
            raise DataError(f"{where} refers to {inner!r}, which is no earlier call")
        if kind in ("tuple", "slice"):
            _check_values(_list(inner, where), known, where, depth + 1)
        elif kind not in ("ref", "training", "float", "ellipsis", "dtype") or (
            (kind == "float" and inner not in ("inf", "-inf", "nan")) or (kind == "dtype" and not _in(inner, DTYPES))
        ):
            raise DataError(f"{where} has an argument of the unknown kind {kind!r}")


def _decoded(value: Any, values: Mapping[str, Any], training: bool) -> Any:
    if isinstance(value, list):
        return [_decoded(item, values, training) for item in value]
    if not isinstance(value, Mapping):
        return value
    (kind, inner), *_ = value.items()
    if kind == "ref":
        return values[inner]
    if kind == "tuple":
        return tuple(_decoded(item, values, training) for item in inner)
    if kind == "slice":
        return slice(*(_decoded(item, values, training) for item in inner))
    plain = {"training": training, "ellipsis": Ellipsis}
    return plain[kind] if kind in plain else DTYPES[inner] if kind == "dtype" else float(inner)


def _constant(value: Any) -> Any:
    """An argument of a layer, which refers to no call."""
    _check_values(value, set(), "an argument of a layer", 0)
    return _decoded(value, {}, False)


def _check_operands(target: str, operands: list[Any]) -> None:
    """Raises DataError where an operator of Python would take long or fill the memory, as 9 ** 10 ** 9 does."""
    for operand in operands:
        if isinstance(operand, str) or (isinstance(operand, int) and abs(operand) > LARGEST_INTEGER):
            raise DataError(f"{target} is given {shown(operand)}; texts and whole numbers beyond 64 bits are not taken")
        if isinstance(operand, list | tuple) and len(operand) > LONGEST_SEQUENCE:
            raise DataError(f"{target} is given a sequence of {len(operand):,}; {LONGEST_SEQUENCE:,} are the most")
    numbers = [operand for operand in operands if isinstance(operand, int | float)]
    if target == "operator.pow" and len(numbers) == 2 and abs(numbers[1]) > LARGEST_EXPONENT:
        raise DataError(f"{target} has the exponent {shown(numbers[1])}; {LARGEST_EXPONENT} is the most")
    repeated = any(isinstance(operand, list | tuple) for operand in operands)
    if target == "operator.mul" and repeated and any(abs(number) > LONGEST_SEQUENCE for number in numbers):
        raise DataError(f"{target} repeats a sequence more than {LONGEST_SEQUENCE:,} times")


def _in(name: Any, names: Container[str]) -> bool:
    """Whether a value of a file is one of some names. Lists and objects cannot be looked up."""
    return isinstance(name, str) and name in names


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{where}: {value!r} must be a list")
    return value


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{where}: {value!r} must be an object")
    return value
