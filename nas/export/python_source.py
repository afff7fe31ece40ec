"""Readable Python source of a network that imports only torch."""

from __future__ import annotations

import operator
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import fx, nn

from ..errors import NasError
from .expressions import call, literal
from .layers import constructor
from .naming import SILENT, export_names, free_variable, named_tensors

WIDTH = 120
INDENT = " " * 8


@dataclass(frozen=True)
class Source:
    """Source of a network.

    Attributes:
        text: The text of a Python module with a class `Network`.
        weights: For each tensor of that class's state, by name, its path in the network.
        names: The attribute of that class for each layer, and each tensor that is used by itself, by its path.
        head: The attribute of the linear layer that gives the output; None where there is none. The class then has a
            method `features`, whose result is the head's input.
    """

    text: str
    weights: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)
    head: str | None = None


def write(network: nn.Module, graph: fx.Graph, about: Sequence[str] = ()) -> Source:
    """The source of a class `Network` that computes what a graph does, from the layers and tensors of the network.

    Args:
        network: The network that has the graph's layers, parameters and buffers.
        graph: Its forward, as `trace` or `program_graph` gives it.
        about: Paragraphs for the docstring; a line that starts with a space keeps its indentation.

    Raises:
        NasError: A layer or a call cannot be written down; the message names it.
    """
    modules, attributes = _used(network, graph)
    # A parameter of a layer that is also called stays in that layer.
    inside = {path for path in attributes if path.rpartition(".")[0] in modules}
    head = _head(network, graph)
    names = export_names(network, [*modules, *(path for path in attributes if path not in inside)], head)
    names |= {path: f"{names[path.rpartition('.')[0]]}.{path.rpartition('.')[2]}" for path in inside}
    constructor_lines = [*_layer_lines(network, modules, names)]
    constructor_lines += _tensor_lines(network, [path for path in attributes if path not in inside], names)
    weights = {
        f"{names[path]}.{name}": f"{path}.{name}"
        for path in modules
        for name in network.get_submodule(path).state_dict()
    }
    weights |= {names[path]: path for path in attributes if path not in inside}
    constructor_lines += _ties(network, weights)
    forward = _forward(network, graph, names, head)
    body = ["    def __init__(self) -> None:", f"{INDENT}super().__init__()", *constructor_lines, "", *forward]
    text = "\n".join([*_header(body, about), *body, ""])
    return Source(text, weights, names, None if head is None else names[head])


def _head(network: nn.Module, graph: fx.Graph) -> str | None:
    """The path of the linear layer whose result is the output, where nothing else uses the layer."""
    output = next(node for node in reversed(graph.nodes)).args[0]
    if not isinstance(output, fx.Node) or output.op != "call_module" or len(output.users) != 1:
        return None
    path = str(output.target)
    calls = [node for node in graph.nodes if node.op == "call_module" and str(node.target) == path]
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    alone = len(calls) == 1 and len(output.args) == 1 and not output.kwargs and len(inputs) == 1
    tensors = [node for node in graph.nodes if node.op == "get_attr" and str(node.target).startswith(f"{path}.")]
    plain = isinstance(network.get_submodule(path), nn.Linear) and output.args[0] is not inputs[0]
    return path if alone and plain and not tensors else None


def _used(network: nn.Module, graph: fx.Graph) -> tuple[list[str], list[str]]:
    """Paths of the layers that are called, and of the parameters and buffers that are used directly."""
    modules = dict.fromkeys(str(node.target) for node in graph.nodes if node.op == "call_module")
    attributes = dict.fromkeys(str(node.target) for node in graph.nodes if node.op == "get_attr")
    tensors = named_tensors(network)
    for path in attributes:
        if path not in tensors:
            raise NasError(f"{path!r} is neither a parameter nor a buffer; make it one to export it (register_buffer)")
    return list(modules), list(attributes)


def _header(body: Sequence[str], about: Sequence[str]) -> list[str]:
    text = "\n".join(body)
    imports = ["import torch"]
    imports += ["import torch.nn.functional as F"] if " F." in text or "(F." in text else []
    lines: list[str] = []
    for paragraph in about:
        if lines:
            lines.append("")
        for line in paragraph.split("\n"):
            safe = _printable(line.strip())
            indent = "    " + " " * (len(line) - len(line.lstrip(" ")))
            lines += textwrap.wrap(
                safe, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
            ) or [""]
    first = lines[0].strip() if lines else "A network found by adaptnas."
    short = len(lines) < 2 and not first.endswith('"')
    doc = [f'    """{first}"""'] if short else [f'    """{first}', *lines[1:], '    """']
    return [*imports, "from torch import nn", "", "", "class Network(nn.Module):", *doc, ""]


def _printable(text: str) -> str:
    """Text that cannot end the docstring around it, wherever it is in it."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown.replace("\\", "\\\\").replace('""', "''")


def _layer_lines(network: nn.Module, modules: Sequence[str], names: dict[str, str]) -> Iterator[str]:
    group = ""
    for path in modules:
        group, heading = _heading(group, _group(path.rpartition(".")[0]))
        yield from heading
        called, arguments = constructor(network.get_submodule(path), path)
        yield from _statement(f"self.{names[path]} = ", called, arguments)


def _tensor_lines(network: nn.Module, paths: Sequence[str], names: dict[str, str]) -> Iterator[str]:
    for path in paths:
        owner, _, last = path.rpartition(".")
        tensor = getattr(network.get_submodule(owner), last)
        dtype = [] if tensor.dtype == torch.float32 else [f"dtype={literal(tensor.dtype)}"]
        zeros = f"torch.zeros({', '.join([literal(tuple(tensor.shape)), *dtype])})"
        if isinstance(tensor, nn.Parameter):
            yield f"{INDENT}self.{names[path]} = nn.Parameter({zeros})"
        else:
            yield f'{INDENT}self.register_buffer("{names[path]}", {zeros})'


def _ties(network: nn.Module, weights: dict[str, str]) -> Iterator[str]:
    """Assignments by which layers that share a parameter share it in the source."""
    first: dict[int, str] = {}
    parameters = dict(network.named_parameters(remove_duplicate=False))
    for flat, path in weights.items():
        if path in parameters:
            owner = first.setdefault(id(parameters[path]), flat)
            if owner != flat:
                yield f"{INDENT}self.{flat} = self.{owner}"


def _forward(network: nn.Module, graph: fx.Graph, names: dict[str, str], head: str | None) -> list[str]:
    """The lines of `forward`, and before a head those of `features`: one call per line, a chain in one variable."""
    variables: dict[fx.Node, str] = {}
    pending_uses = {node: len(node.users) for node in graph.nodes}
    inputs, lines, group = ["self"], [], ""

    def name(node: fx.Node) -> str:
        return f"self.{names[str(node.target)]}" if node.op == "get_attr" else variables[node]

    for node in graph.nodes:
        for before in node.all_input_nodes:
            pending_uses[before] -= 1
        live = {variable for before, variable in variables.items() if pending_uses[before]}
        taken = set(variables.values())
        if node.op == "placeholder":
            variables[node] = free_variable(str(node.target), taken)
            default = "".join(f" = {literal(value)}" for value in node.args)
            inputs.append(f"{variables[node]}{default or ': torch.Tensor'}")
        elif node.op == "call_module" and str(node.target) == head:
            lines += ["", f"{INDENT}return {literal(node.args[0], name)}"]
            break
        elif node.op == "output":
            lines += [*([""] if group else []), f"{INDENT}return {literal(node.args[0], name)}"]
        elif node.op != "get_attr":
            group, heading = _heading(group, _group(_container(node)))
            expression, arguments = call(node, name, names.__getitem__)
            target = ""
            if node.users:
                variables[node] = _chained(node, variables, live) or free_variable(_preferred(node, names), taken)
                target = f"{variables[node]} = "
            lines += [*heading, *_statement(target, expression, arguments)]
    # The annotation is certain only for a single value that is no size.
    out = next(node for node in reversed(graph.nodes)).args[0]
    returns = " -> torch.Tensor" if isinstance(out, fx.Node) and not _is_size(out) else ""
    lines = lines if lines[0] else lines[1:]
    if head is None:
        return [f"    def forward({', '.join(inputs)}){returns}:", *lines]
    result = f"self.{names[head]}(self.features({inputs[1].partition(':')[0]}))"
    return [
        f"    def features({', '.join(inputs)}) -> torch.Tensor:",
        f'{INDENT}"""The input of the head."""',
        *lines,
        "",
        f"    def forward({', '.join(inputs)}) -> torch.Tensor:",
        f"{INDENT}return {result}",
    ]


def _is_size(node: fx.Node) -> bool:
    return node.target in ("size", "dim", getattr)


def _chained(node: fx.Node, variables: dict[fx.Node, str], live: set[str]) -> str | None:
    """The variable of the first input, where its value is not used again and was made in the same module."""
    first = node.args[0] if node.args else None
    if not isinstance(first, fx.Node) or _is_size(node) or _container(first) != _container(node):
        return None
    if _branch(first) != _branch(node):
        return None
    variable = variables.get(first)
    return None if variable in live else variable


def _branch(node: fx.Node) -> str:
    """What a value is of, so that values of two branches never share a variable: the list that a layer is in, or the
    layer itself; for a function, its module."""
    if node.op != "call_module":
        return _container(node)
    owner, _, last = str(node.target).rpartition(".")
    return owner if last.isdecimal() else str(node.target)


def _container(node: fx.Node) -> str:
    """The path of the module whose forward makes the call; empty for the network's own."""
    stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    owners = stack[:-1] if node.op == "call_module" else stack
    return str(owners[-1]) if owners else ""


def _preferred(node: fx.Node, names: Mapping[str, str]) -> str:
    """The variable that a value should have: the name of the layer that computes it, else of its module, else x."""
    container = ".".join(part for part in _container(node).split(".") if part not in SILENT)
    path = str(node.target)
    if node.op == "call_module":
        branch = _branch(node)
        return names[path] if branch == path else ".".join(part for part in branch.split(".") if part not in SILENT)
    what = [path if node.op == "call_method" else str(node.args[1])] if _is_size(node) else []
    what += ["sum"] if node.target is operator.add else []
    return ".".join([*([container] if container else []), *what]) or "x"


def _group(container: str) -> str:
    """The part of a path that lines are grouped by: the outermost container, and its number where it is a list."""
    parts = container.split(".")
    return ".".join(parts[:2] if len(parts) > 1 and parts[1].isdecimal() else parts[:1])


def _heading(before: str, group: str) -> tuple[str, list[str]]:
    if group == before:
        return before, []
    return group, ["", f"{INDENT}# {_comment(group)}"] if group and not group.isdecimal() else [""]


def _comment(group: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in group)


def _statement(target: str, called: str, arguments: Iterable[str] | None) -> list[str]:
    if arguments is None:
        return [f"{INDENT}{target}{called}"]
    arguments = list(arguments)
    line = f"{INDENT}{target}{called}({', '.join(arguments)})"
    if len(line) <= WIDTH or not arguments:
        return [line]
    return [f"{INDENT}{target}{called}(", *(f"{INDENT}    {argument}," for argument in arguments), f"{INDENT})"]
