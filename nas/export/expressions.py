"""Source expressions of the values and calls in a traced forward; only what is formatted here reaches the file."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from ..errors import NasError
from .naming import RESERVED, function_name

Name = Callable[[fx.Node], str]
"""Function that gives the variable or attribute that holds a node's value."""
INFIX = {
    operator.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    operator.truediv: "/",
    operator.floordiv: "//",
    operator.mod: "%",
    operator.pow: "**",
    operator.matmul: "@",
    operator.and_: "&",
    operator.or_: "|",
    operator.xor: "^",
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.eq: "==",
    operator.ne: "!=",
}
PREFIX = {operator.neg: "-", operator.pos: "+", operator.invert: "~"}


class Training:
    """Placeholder of an argument that is True in training and False in evaluation: `self.training` in the source."""


def literal(value: Any, name: Name | None = None) -> str:
    """The source of a constant, or of a container with nodes in it.

    Args:
        value: The value.
        name: Gives the names of the nodes; None where there are none.

    Raises:
        NasError: The value is of a type that has no exact source.
    """

    def inner(item: Any) -> str:
        return literal(item, name)

    if isinstance(value, fx.Node) and name is not None:
        return name(value)
    if isinstance(value, Training):
        return "self.training"
    if type(value) is float and not math.isfinite(value):
        return f'float("{value}")'
    if value is Ellipsis:
        return "..."
    if isinstance(value, torch.dtype | torch.memory_format | torch.layout):
        return str(value)
    if isinstance(value, torch.device):
        return f'torch.device("{value}")'
    if value is None or type(value) in (bool, int, float, complex):
        return repr(value)
    if type(value) is str:
        return _string(value)
    if isinstance(value, slice):
        return f"slice({inner(value.start)}, {inner(value.stop)}, {inner(value.step)})"
    if isinstance(value, list):
        return f"[{', '.join(map(inner, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(inner, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{inner(key)}: {inner(item)}' for key, item in value.items())}}}"
    raise NasError(f"a value of type {type(value).__name__} in the forward cannot be written as source")


def call(node: fx.Node, name: Name, layer: Callable[[str], str]) -> tuple[str, list[str] | None]:
    """The expression of a node.

    Args:
        node: A call of a module, method or function.
        name: Gives the names of other nodes.
        layer: Gives the attribute that holds the module of a path.

    Returns:
        The function and its arguments; for an operator, the whole expression and None.

    Raises:
        NasError: The function, which the message names, is not one of torch's public ones.
    """
    arguments = [literal(value, name) for value in node.args]
    if node.op == "call_module":
        return f"self.{layer(str(node.target))}", arguments + _keywords(node.kwargs, name)
    if node.op == "call_method":
        method = _public(str(node.target))
        if not hasattr(torch.Tensor, method):
            raise NasError(f"the forward calls the method {method!r}, which is not a tensor's; use torch's")
        return f"{arguments[0]}.{method}", arguments[1:] + _keywords(node.kwargs, name)
    target: Any = node.target
    if target in INFIX and len(arguments) == 2:
        left = f"({arguments[0]})" if arguments[0].startswith("-") else arguments[0]
        close = target is operator.pow and "(" not in left + arguments[1]  # as formatters write it
        return f" {INFIX[target]} ".join([left, arguments[1]]) if not close else f"{left}**{arguments[1]}", None
    if target in PREFIX:
        return f"{PREFIX[target]}{arguments[0]}", None
    if target is operator.getitem:
        return f"{arguments[0]}[{_index(node.args[1], name)}]", None
    if target is getattr:
        return f"{arguments[0]}.{_public(str(node.args[1]))}", None
    function = function_name(target)
    if function is None:
        described = getattr(target, "__qualname__", repr(target))
        raise NasError(
            f"the forward calls {described!r} (module {getattr(target, '__module__', None)}), which is not a function "
            f"of torch or torch.nn.functional; write it with those"
        )
    return function, arguments + _keywords(_without_defaults(target, function, node.kwargs), name)


def mutates(node: fx.Node, module: torch.nn.Module | None) -> bool:
    """Whether a node changes a tensor in place, so that it matters although nothing uses its value."""
    if node.kwargs.get("inplace") is True or node.kwargs.get("out") is not None:
        return True
    if node.op == "call_module":
        return getattr(module, "inplace", False) is True
    if isinstance(node.target, torch._ops.OpOverload):
        return bool(node.target._schema.is_mutable)
    return node.target not in INFIX and getattr(node.target, "__name__", str(node.target)).endswith("_")


def _string(value: str) -> str:
    quoted = repr(value)
    plain = "'" not in value and '"' not in value
    return f'"{quoted[1:-1]}"' if plain else quoted


def _public(name: str) -> str:
    if not name.isidentifier() or name.startswith("_") or name in RESERVED:
        raise NasError(f"the forward uses the attribute {name!r} of a tensor; only public ones can be exported")
    return name


def _keywords(values: Mapping[str, Any], name: Name) -> list[str]:
    return [f"{_public(key)}={literal(value, name)}" for key, value in values.items()]


def _index(value: Any, name: Name) -> str:
    if isinstance(value, tuple) and value:
        return ", ".join(_index(item, name) for item in value) + ("," if len(value) == 1 else "")
    if isinstance(value, slice):
        ends = ["" if end is None else literal(end, name) for end in (value.start, value.stop)]
        return ":".join(ends) + ("" if value.step is None else f":{literal(value.step, name)}")
    return literal(value, name)


def _without_defaults(target: Any, function: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments without those at their default, which tracing adds."""
    known = _parameters(target)
    if "args" in known:  # F.max_pool2d and others like it choose between two functions; the plain one is private
        known = _parameters(getattr(F, f"_{function.removeprefix('F.')}", None))
    return {
        key: value
        for key, value in values.items()
        if key not in known or type(value) is not type(known[key].default) or value != known[key].default
    }


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # built-in functions have none to read
        return {}
